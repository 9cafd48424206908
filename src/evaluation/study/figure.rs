//! An [`Analysis`] to the paper's figure 4: bars with intervals, as SVG.

use std::fmt::Write;

use super::analysis::Analysis;
use super::html::escaped;
use crate::evaluation::statistics::Interval;

/// Bars that differ in lightness too, so that they can be told apart without colours and in print.
const COLORS: [&str; 4] = ["#1f4e8c", "#4f8fd0", "#a9cdf0", "#d9a441"];
/// Height of the plot, width of a bar, and distances; in pixels.
const HEIGHT: f64 = 220.0;
const BAR: f64 = 30.0;
const GAP: f64 = 34.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 60.0;

/// Bars side by side with one name below them.
struct Group {
    name: [String; 2],
    /// The place of the question, the share in [0, 1], and its interval.
    bars: Vec<(usize, f64, Option<Interval>)>,
}

impl Analysis {
    /// The paper's figure 4 as SVG: how often each method was preferred to its base, by question, with a
    /// line at one half; and how often pictures of each system were answered by yes. Whiskers are the
    /// intervals over participants or, where there are none, Wilson's.
    pub fn figure(&self) -> String {
        let mut questions: Vec<&str> = Vec::new();
        let mut place = |question| {
            questions.iter().position(|known| *known == question).unwrap_or_else(|| {
                questions.push(question);
                questions.len() - 1
            })
        };
        let mut groups: Vec<Group> = Vec::new();
        let mut add = |name: [String; 2], bar| match groups.iter_mut().find(|g| g.name == name) {
            Some(group) => group.bars.push(bar),
            None => groups.push(Group { name, bars: vec![bar] }),
        };
        for p in &self.preferences {
            let name = [p.method.clone(), format!("over {}", p.base)];
            add(name, (place(&p.question), p.rate, p.over_participants.or(p.wilson)));
        }
        for c in &self.contains {
            let name = [c.system.clone(), String::new()];
            add(name, (place(&c.question), c.rate, c.over_participants.or(c.wilson)));
        }
        let title = match self.preferences.is_empty() {
            false => "How often the method was preferred",
            true => "How often the answer was yes",
        };
        let mut svg = String::new();
        // Writing to a string does not fail.
        let _ = draw(&mut svg, title, &questions, &groups, !self.preferences.is_empty());
        svg
    }
}

fn draw(
    svg: &mut String,
    title: &str,
    questions: &[&str],
    groups: &[Group],
    has_half: bool,
) -> std::fmt::Result {
    // A name needs some 7 pixels a letter.
    let width_of = |group: &Group| {
        let letters = group.name.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        (BAR * group.bars.len() as f64).max(7.0 * letters as f64)
    };
    let plot = groups.iter().map(|group| width_of(group) + GAP).sum::<f64>().max(2.0 * GAP);
    let legend = questions.iter().map(|q| 34.0 + 7.0 * q.chars().count() as f64).sum::<f64>();
    let width = LEFT + plot.max(legend).max(7.0 * title.len() as f64) + 12.0;
    let height = TOP + HEIGHT + 48.0;
    let y = |share: f64| TOP + HEIGHT * (1.0 - share);
    write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#1d1f23\" \
         role=\"img\"><title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\" font-weight=\"600\">{title}</text>\n"
    )?;
    let mut x = LEFT;
    for (i, question) in questions.iter().enumerate() {
        let (color, text) = (COLORS[i % COLORS.len()], escaped(question));
        writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"33\" width=\"11\" height=\"11\" fill=\"{color}\"/>\
             <text x=\"{:.1}\" y=\"43\">{text}</text>",
            x + 16.0
        )?;
        x += 34.0 + 7.0 * question.chars().count() as f64;
    }
    for tick in [0, 25, 50, 75, 100] {
        let (at, dashes) = (
            y(f64::from(tick) / 100.0),
            if tick == 50 && has_half { "#777\" stroke-dasharray=\"4 3" } else { "#ddd" },
        );
        writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"{dashes}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{tick} %</text>",
            LEFT + plot,
            LEFT - 6.0,
            at + 4.0
        )?;
    }
    let mut x = LEFT + GAP / 2.0;
    for group in groups {
        let middle = x + width_of(group) / 2.0;
        let mut bar = middle - BAR * group.bars.len() as f64 / 2.0;
        for &(question, share, interval) in &group.bars {
            let (color, top, center) = (COLORS[question % COLORS.len()], y(share), bar + BAR / 2.0);
            let (left, wide, tall) = (bar + 2.0, BAR - 4.0, HEIGHT * share);
            write!(
                svg,
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.0}\" height=\"{tall:.1}\" fill=\"{color}\"/>"
            )?;
            if let Some(Interval { low, high, .. }) = interval {
                let (low, high, a, b) = (y(low), y(high), center - 4.0, center + 4.0);
                write!(
                    svg,
                    "<path d=\"M{center:.1} {low:.1}V{high:.1}M{a:.1} {low:.1}H{b:.1}M{a:.1} {high:.1}H{b:.1}\" \
                     stroke=\"#111\" fill=\"none\"/>"
                )?;
            }
            let (above, percent) =
                (y(interval.map_or(share, |i| i.high.max(share))) - 5.0, 100.0 * share);
            writeln!(
                svg,
                "<text x=\"{center:.1}\" y=\"{above:.1}\" text-anchor=\"middle\" font-size=\"11\">{percent:.0}</text>"
            )?;
            bar += BAR;
        }
        for (line, name) in group.name.iter().enumerate() {
            let (below, name) = (TOP + HEIGHT + 18.0 + 15.0 * line as f64, escaped(name));
            writeln!(
                svg,
                "<text x=\"{middle:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{name}</text>"
            )?;
        }
        x += width_of(group) + GAP;
    }
    svg.push_str("</svg>\n");
    Ok(())
}
