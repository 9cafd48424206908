//! A table of names to the `Display` and `FromStr` of an enum: how command lines and settings spell it.

/// Names the variants of `$kind`. An error about an unknown name calls the setting `$what`.
macro_rules! named {
    ($kind:ident, $what:literal, { $($variant:ident: $name:literal),+ $(,)? }) => {
        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name,)+
                })
            }
        }

        impl std::str::FromStr for $kind {
            type Err = crate::Error;

            #[doc = concat!("One of ", $("`", $name, "` ",)+ "as in its `Display`.")]
            fn from_str(name: &str) -> crate::Result<Self> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(crate::Error::invalid_input($what, crate::named::either(&[$($name),+]), name)),
                }
            }
        }
    };
}

pub(crate) use named;

/// `a, b or c`.
pub(crate) fn either(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #[derive(Debug, PartialEq, Eq)]
    enum Season {
        Spring,
        Autumn,
        Winter,
    }

    named!(Season, "season", { Spring: "spring", Autumn: "autumn", Winter: "winter" });

    #[test]
    fn names_read_back_and_others_are_errors() {
        for season in [Season::Spring, Season::Autumn, Season::Winter] {
            assert_eq!(season.to_string().parse::<Season>().unwrap(), season);
        }
        let error = "summer".parse::<Season>().unwrap_err().to_string();
        assert_eq!(error, "season: expected spring, autumn or winter, found summer");
    }
}
