//! Plots as SVG.

use imagerag::evaluation::report::{
    Bar, BarChart, BarSeries, LineChart, LineSeries, Point, RetrievalSetSize, Table, TableOptions,
    bar_charts, by_retrieval_set_size,
};

use crate::results::{HOSTILE, World};

/// Whether every element is ended, attributes are quoted, and nothing of the texts is markup.
fn is_well_formed(svg: &str) {
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\""), "{svg}");
    let mut open = Vec::new();
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        assert!(!text.contains(['>', '\u{202e}', '\0']), "{text}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{svg}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        assert!(
            ["svg", "title", "desc", "style", "text", "rect", "line", "path", "polyline"]
                .contains(&name),
            "{name}"
        );
    }
    assert!(open.is_empty());
    for number in ["NaN", "inf"] {
        assert!(!svg.contains(number), "{svg}");
    }
}

fn bars(name: &str, values: &[Option<f64>]) -> BarSeries {
    let bar = |value: f64| Bar { value, low: value - 0.01, high: value + 0.01 };
    BarSeries { name: name.into(), bars: values.iter().map(|value| value.map(bar)).collect() }
}

#[test]
fn a_chart_says_its_numbers_in_words() {
    let series = vec![bars("SDXL", &[Some(0.25), None]), bars("IR-SD", &[Some(0.27), Some(0.3)])];
    let groups = vec!["CUB".into(), "ImageNet".into()];
    let chart = BarChart { title: "CLIP ↑".into(), axis: "CLIP".into(), groups, series };
    let svg = chart.to_svg();
    is_well_formed(&svg);
    assert!(svg.contains("<title>IR-SD, ImageNet: 0.3 (0.29 to 0.31)</title>"), "{svg}");
    assert!(svg.contains("SDXL: CUB 0.25 (0.24 to 0.26), ImageNet none."), "{svg}");
    assert!(svg.contains("prefers-color-scheme:dark"));
    // Bars begin at 0: their heights are as their numbers.
    let heights: Vec<f64> = svg
        .lines()
        .filter(|line| line.starts_with("<rect") && line.contains("<title>"))
        .map(|line| {
            line.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        })
        .collect();
    assert_eq!(heights.len(), 3);
    assert!((heights[0] / heights[1] - 0.25 / 0.27).abs() < 0.01, "{heights:?}");
}

/// The words of an element's last class, for each element that begins so.
fn marks<'a>(svg: &'a str, begin: &str) -> Vec<&'a str> {
    svg.lines().filter(|line| line.starts_with(begin) && line.contains("<title>")).collect()
}

#[test]
fn a_ninth_system_is_not_taken_for_the_first() {
    let series: Vec<_> = (0..9).map(|n| bars(&format!("system {n}"), &[Some(0.25)])).collect();
    let chart = |series: &[BarSeries]| BarChart {
        groups: vec!["CUB".into()],
        series: series.to_vec(),
        ..BarChart::default()
    };
    let svg = chart(&series).to_svg();
    is_well_formed(&svg);
    // Its number stands in the legend and below its bar.
    assert!(svg.contains(">9 system 8</text>") && svg.contains(">9</text>"), "{svg}");
    // Eight have colours of their own, and no numbers.
    let svg = chart(&series[..8]).to_svg();
    assert!(svg.contains(">system 7</text>") && !svg.contains(">8</text>"), "{svg}");
    // Lines have marks of another shape.
    let line = |n: usize| LineSeries {
        name: format!("line {n}"),
        points: vec![Point { size: 10.0, value: 0.2, error: 0.0 }],
        base: None,
    };
    let svg = LineChart { series: (0..32).map(line).collect(), ..LineChart::default() }.to_svg();
    let points: Vec<_> =
        marks(&svg, "<path").into_iter().filter(|mark| mark.contains("10 images")).collect();
    let looks: std::collections::BTreeSet<_> =
        points.iter().map(|mark| mark.split("><title>").next().unwrap()).collect();
    assert_eq!((points.len(), looks.len()), (32, 32));
}

#[test]
fn no_numbers_and_names_break_a_chart() {
    let odd = [f64::NAN, f64::INFINITY, f64::MAX, -1.0, 0.0, 1e-300];
    let series = odd.map(|value| bars(HOSTILE, &[Some(value), None]));
    let groups = vec![HOSTILE.into(), "\0".repeat(90)];
    let chart =
        BarChart { title: HOSTILE.into(), axis: "a".into(), groups, series: series.to_vec() };
    let drawn = chart.to_svg();
    assert!(drawn.contains("&lt;/script&gt;"));
    is_well_formed(&drawn.replace("Infinity", "").replace("inf", "").replace("NaN", ""));
    is_well_formed(&BarChart::default().to_svg());
    is_well_formed(&LineChart::default().to_svg());
    let points = odd.map(|size| Point { size, value: 0.2, error: 0.0 });
    let line = LineSeries {
        name: HOSTILE.into(),
        points: points.to_vec(),
        base: Some((HOSTILE.into(), 0.1)),
    };
    is_well_formed(&LineChart { series: vec![line], ..LineChart::default() }.to_svg());
}

#[test]
fn sizes_are_read_from_names() {
    let size = |name: &str| RetrievalSetSize::of_name(name).map(|size| (size.line, size.size));
    assert_eq!(size("IR-O @ 1,000"), Some(("IR-O".into(), 1_000)));
    assert_eq!(size("IR-O (350 000 images)"), Some(("IR-O".into(), 350_000)));
    assert_eq!(size("IR-SD@1M"), Some(("IR-SD".into(), 1_000_000)));
    for name in
        ["IR-O", "SDXL (base)", "@ 10", "IR-O @ 0", "IR-O @ -5", "IR-O @ 99999999999999999999"]
    {
        assert_eq!(size(name), None, "{name}");
    }
}

#[test]
fn figure_16_has_a_line_over_sizes_and_the_base_dashed() {
    let folder = tempfile::tempdir().unwrap();
    let results = World::new(4).write(folder.path());
    let mut json = serde_json::to_value(&results).unwrap();
    // IR-O with two sizes.
    for (from, to) in [("IR-O", "IR-O @ 1000"), ("PixArt-Σ", "IR-O @ 10k")] {
        let text = json.to_string().replace(&format!("\"{from}\""), &format!("\"{to}\""));
        json = serde_json::from_str(&text).unwrap();
    }
    let results = serde_json::from_value(json).unwrap();
    let table = Table::of(&results, &TableOptions::default());
    let sizes: Vec<_> =
        table.rows.iter().filter_map(|row| RetrievalSetSize::of_name(&row.system)).collect();
    let charts = by_retrieval_set_size(&results, &table, &sizes);
    assert_eq!(charts.len(), 4);
    assert_eq!(charts[0].series.len(), 1);
    let series = &charts[0].series[0];
    assert_eq!(
        (series.name.as_str(), series.points.len(), series.points[0].size),
        ("IR-O", 1, 1_000.0)
    );
    assert_eq!(series.base.as_ref().unwrap().0, "OmniGen");
    let svg = charts[0].to_svg();
    is_well_formed(&svg);
    assert!(svg.contains("class=\"base c0\"") && svg.contains("1,000 images: "), "{svg}");
    assert_eq!(bar_charts(&table).len(), 2);
    // One size alone is no line.
    assert!(by_retrieval_set_size(&results, &table, &sizes[..1]).is_empty());
}
