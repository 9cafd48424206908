//! A [`Filter`] to an expression of Milvus' filter language, with every value quoted.

use std::ops::RangeInclusive;

use super::schema::{AUTHOR, CAPTION, HEIGHT, ID, JSON, LICENSE, WIDTH};
use crate::reference::{Clause, FieldValue, Filter};
use crate::{Error, Result};

/// Lets nothing through: ids are not negative.
const NOTHING: &str = "id < 0";

/// The expression of `filter`; empty, which lets everything through, where it has no clause.
///
/// # Errors
/// [`Error::InvalidInput`] when Milvus cannot express a clause.
pub(super) fn of(filter: &Filter) -> Result<String> {
    let clauses: Vec<String> = filter.clauses().iter().map(clause).collect::<Result<_>>()?;
    Ok(clauses.join(" and "))
}

/// `expression` and only these ids.
pub(super) fn among(expression: &str, ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    both(expression, &format!("{ID} in [{}]", ids.join(", ")))
}

/// `expression` and only ids above `last`.
pub(super) fn after(expression: &str, last: Option<u64>) -> String {
    let above = last.map_or_else(|| format!("{ID} >= 0"), |last| format!("{ID} > {last}"));
    both(expression, &above)
}

fn both(left: &str, right: &str) -> String {
    if left.is_empty() { right.to_owned() } else { format!("({left}) and {right}") }
}

fn clause(clause: &Clause) -> Result<String> {
    Ok(match clause {
        Clause::License(allowed) => one_of(LICENSE, allowed)?,
        Clause::Author(allowed) => one_of(AUTHOR, allowed)?,
        Clause::Caption(text) => holds(text)?,
        Clause::Width(range) => within(WIDTH, range),
        Clause::Height(range) => within(HEIGHT, range),
        Clause::Field { name, equals } => equal(name, equals)?,
    })
}

fn one_of(field: &str, allowed: &[String]) -> Result<String> {
    if allowed.is_empty() {
        return Ok(NOTHING.to_owned());
    }
    let values: Vec<String> = allowed.iter().map(|text| quote(text)).collect::<Result<_>>()?;
    Ok(format!("{field} in [{}]", values.join(", ")))
}

/// Servers do not agree how wildcards are escaped in a pattern, so that it may hold none.
fn holds(text: &str) -> Result<String> {
    if text.contains(['%', '_', '\\']) {
        let expected = "a text without %, _ and \\, which mean something else to Milvus";
        return Err(Error::invalid_input("caption of a filter", expected, text));
    }
    Ok(format!("{CAPTION} like {}", quote(&format!("%{text}%"))?))
}

fn within(field: &str, range: &RangeInclusive<u32>) -> String {
    format!("({field} >= {} and {field} <= {})", range.start(), range.end())
}

fn equal(name: &str, value: &FieldValue) -> Result<String> {
    let value = match value {
        FieldValue::Bool(value) => value.to_string(),
        FieldValue::Text(text) => quote(text)?,
        // No JSON number is infinite or none at all.
        FieldValue::Number(number) if !number.is_finite() => return Ok(NOTHING.to_owned()),
        FieldValue::Number(number) => number.to_string(),
    };
    Ok(format!("{JSON}[{}] == {value}", quote(name)?))
}

/// A string literal that reads back as `text`, whatever is in it.
fn quote(text: &str) -> Result<String> {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            control if control.is_control() => {
                let found = format!("{control:?} in {text:?}");
                let expected = "a text without control characters";
                return Err(Error::invalid_input("value of a filter", expected, found));
            }
            other => literal.push(other),
        }
    }
    literal.push('"');
    Ok(literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_as_milvus_says_them() {
        let filter = Filter::all()
            .licenses(["CC0-1.0", "CC-BY-4.0"])
            .authors(["Ada"])
            .caption("a quetzal")
            .width(512..=4096)
            .field("nsfw", false)
            .field("likes", 12)
            .field("weight", 0.5)
            .field("lang", "en");
        assert_eq!(
            of(&filter).unwrap(),
            "license in [\"CC0-1.0\", \"CC-BY-4.0\"] and author in [\"Ada\"] \
             and caption like \"%a quetzal%\" and (width >= 512 and width <= 4096) \
             and json[\"nsfw\"] == false and json[\"likes\"] == 12 and json[\"weight\"] == 0.5 \
             and json[\"lang\"] == \"en\""
        );
        assert_eq!(of(&Filter::all()).unwrap(), "");
    }

    #[test]
    fn nothing_allowed_lets_nothing_through() {
        assert_eq!(of(&Filter::all().licenses::<&str>([])).unwrap(), NOTHING);
        assert_eq!(of(&Filter::all().field("likes", f64::NAN)).unwrap(), NOTHING);
    }

    #[test]
    fn ids_narrow_what_the_filter_lets_through() {
        let filter = of(&Filter::all().licenses(["MIT"])).unwrap();
        assert_eq!(among(&filter, &[1, 2]), "(license in [\"MIT\"]) and id in [1, 2]");
        assert_eq!(after("", None), "id >= 0");
        assert_eq!(after("", Some(7)), "id > 7");
    }

    #[test]
    fn a_value_stays_a_value() {
        let wicked = "\"] or id >= 0 or license in [\"\\";
        let expected = r#"license in ["\"] or id >= 0 or license in [\"\\"]"#;
        assert_eq!(of(&Filter::all().licenses([wicked])).unwrap(), expected);
        assert_eq!(quote("é\n\t\r").unwrap(), "\"é\\n\\t\\r\"");
        for refused in [
            Filter::all().authors(["a\0b"]),
            Filter::all().caption("100 %"),
            Filter::all().caption("snake_case"),
            Filter::all().field("\u{1b}[0m", true),
        ] {
            assert!(matches!(of(&refused), Err(Error::InvalidInput { .. })), "{refused}");
        }
    }
}
