//! Every statistic against the reference implementations, and at its edges.
//! The numbers are made by `tests/fixtures/make_statistics.py`.

mod strengths;

use serde::Deserialize;

use super::bootstrap::percentiles;
use super::*;
use crate::evaluation::metric::Outcome;

#[derive(Deserialize)]
struct Reference {
    summary: Vec<Mean>,
    sign_flip: Vec<Flip>,
    drawn: Drawn,
    percentiles: Vec<Percentiles>,
    wilson: Vec<Wilson>,
    mcnemar: Vec<Changed>,
    holm: Vec<Adjusted>,
    alpha: Vec<Alpha>,
    bradley_terry: Vec<Strengths>,
}

#[derive(Deserialize)]
struct Mean {
    values: Vec<f64>,
    mean: f64,
    standard_error: Option<f64>,
}

#[derive(Deserialize)]
struct Flip {
    differences: Vec<f64>,
    p_value: f64,
}

#[derive(Deserialize)]
struct Drawn {
    differences: Vec<f64>,
    p_value: f64,
    low: f64,
    high: f64,
    standard_error: f64,
}

#[derive(Deserialize)]
struct Percentiles {
    values: Vec<f64>,
    confidence: f64,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct Wilson {
    k: usize,
    n: usize,
    confidence: f64,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct Changed {
    gained: usize,
    lost: usize,
    exact: f64,
    plain: (f64, f64),
    corrected: (f64, f64),
}

#[derive(Deserialize)]
struct Adjusted {
    p_values: Vec<f64>,
    adjusted: Vec<f64>,
}

#[derive(Deserialize)]
struct Alpha {
    ratings: Vec<(usize, usize)>,
    alpha: f64,
}

#[derive(Deserialize)]
struct Strengths {
    wins: Vec<Vec<f64>>,
    strengths: Vec<f64>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../tests/fixtures/statistics.json")).unwrap()
}

/// Equal to 1e-9, relative where they are large.
#[track_caller]
fn equal(found: f64, expected: f64) {
    let bound = 1e-9 * expected.abs().max(1.0);
    assert!((found - expected).abs() <= bound, "expected {expected}, found {found}");
}

fn quick() -> Resampling {
    Resampling::default().with_resamples(1000)
}

#[test]
fn means_and_standard_errors_equal_scipy() {
    for case in reference().summary {
        let summary = Summary::of(&case.values);
        let mean = summary.mean.unwrap();
        let unit = case.values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        equal(mean / unit, case.mean / unit);
        assert_eq!(summary.standard_error.is_some(), case.standard_error.is_some());
        if let (Some(found), Some(expected)) = (summary.standard_error, case.standard_error) {
            equal(found / unit, expected / unit);
            assert_eq!(found == 0.0, case.values.iter().all(|value| *value == case.values[0]));
        }
    }
}

#[test]
fn classes_are_averaged_first_and_what_is_left_out_is_counted() {
    let value = |value| Some(Outcome::Value(value));
    let scores = [
        ("a", value(1.0)),
        ("a", value(2.0)),
        ("a", value(6.0)),
        ("b", value(5.0)),
        ("b", value(f64::NAN)),
        ("b", None),
        ("c", value(f64::INFINITY)),
        ("c", Some(Outcome::Refused("no".into()))),
        ("d", Some(Outcome::Failed("down".into()))),
        ("d", Some(Outcome::NotApplicable("no real image".into()))),
    ];
    let summary =
        Summary::over_classes(scores.iter().map(|(class, score)| (*class, score.as_ref())));
    assert_eq!((summary.n, summary.values, summary.mean), (2, 4, Some(4.0)));
    assert_eq!((summary.missing, summary.refused), (1, 1));
    assert_eq!((summary.failed, summary.not_applicable), (3, 1));
    assert_eq!(summary.values + summary.left_out(), scores.len());
    equal(summary.standard_error.unwrap(), 1.0);
    equal(summary.deviation.unwrap(), 2_f64.sqrt());
}

#[test]
fn the_summary_of_little_or_of_huge_numbers_is_finite_or_absent() {
    let none = Summary::of(&[]);
    assert_eq!((none.mean, none.standard_error, none.n), (None, None, 0));
    let one = Summary::of(&[0.3]);
    assert_eq!((one.mean, one.standard_error, one.deviation, one.n), (Some(0.3), None, None, 1));
    let zero = Summary::of(&[0.0, -0.0]);
    assert_eq!((zero.mean, zero.standard_error), (Some(0.0), Some(0.0)));
    let huge = Summary::of(&[f64::MAX, f64::MAX, f64::MAX]);
    assert_eq!((huge.mean, huge.standard_error), (Some(f64::MAX), Some(0.0)));
    let far = Summary::of(&[f64::MAX, -f64::MAX]);
    assert_eq!(far.mean, Some(0.0));
    assert!(far.standard_error.unwrap().is_finite());
    let not = Summary::of(&[f64::NAN, f64::NEG_INFINITY]);
    assert_eq!((not.mean, not.failed), (None, 2));
}

#[test]
fn sign_flips_equal_scipy_where_all_are_tried() {
    for case in reference().sign_flip {
        let test = sign_flip(&case.differences, Resampling::default()).unwrap();
        assert!(test.exact);
        equal(test.p_value, case.p_value);
    }
    assert!(!sign_flip(&[0.1; 14], Resampling::default()).unwrap().exact, "2^14 > 10,000");
    assert_eq!(sign_flip(&[], Resampling::default()), None);
    assert_eq!(sign_flip(&[f64::NAN, f64::INFINITY], Resampling::default()), None);
    let with_nan = sign_flip(&[0.1, f64::NAN, 0.2, 0.3], Resampling::default()).unwrap();
    equal(with_nan.p_value, 0.25);
}

/// SciPy drew 1,000,000 times, so that five standard deviations of 10,000 draws are the bound.
#[test]
fn drawn_sign_flips_and_intervals_are_within_monte_carlo_error_of_scipy() {
    let Drawn { differences, p_value, low, high, standard_error } = reference().drawn;
    for seed in 0..3 {
        let resampling = Resampling::default().with_seed(seed);
        let test = sign_flip(&differences, resampling).unwrap();
        assert!(!test.exact);
        let bound = 5.0 * (p_value * (1.0 - p_value) / 10_000.0).sqrt();
        assert!((test.p_value - p_value).abs() < bound, "{test:?}, SciPy {p_value}");
        assert_eq!(sign_flip(&differences, resampling), Some(test));

        let pairs = differences.iter().enumerate().map(|(i, d)| (i, Some(1.0), Some(1.0 + d)));
        let paired = Paired::over_classes(pairs, resampling);
        let interval = paired.interval.unwrap();
        // The deviation of a quantile q is √(q(1−q)/B) over the density there: 0.058 for 2.5 %.
        let bound = 5.0 * (0.025 * 0.975 / 10_000_f64).sqrt() / 0.058 * standard_error;
        assert!((interval.low - low).abs() < bound, "{interval:?}, SciPy {low}");
        assert!((interval.high - high).abs() < bound, "{interval:?}, SciPy {high}");
        assert!((paired.test.unwrap().p_value - p_value).abs() < 0.03);
    }
}

#[test]
fn the_p_value_is_never_0() {
    let test = sign_flip(&[1.0; 40], quick()).unwrap();
    equal(test.p_value, 1.0 / 1001.0);
}

#[test]
fn pairs_of_one_class_are_averaged_and_incomplete_ones_counted() {
    let pairs = [
        ("a", Some(0.1), Some(0.3)),
        ("a", Some(0.2), Some(0.2)),
        ("b", Some(0.5), Some(0.8)),
        ("b", None, Some(9.0)),
        ("c", Some(f64::NAN), Some(1.0)),
        ("d", None, None),
    ];
    let paired = Paired::over_classes(pairs, quick());
    assert_eq!((paired.n, paired.pairs, paired.incomplete), (2, 3, 3));
    equal(paired.mean.unwrap(), 0.2);
    equal(paired.standard_error.unwrap(), 0.1);
    assert_eq!(paired.test.unwrap(), SignFlip { p_value: 0.5, exact: true });
    let interval = paired.interval.unwrap();
    equal(interval.low, 0.1);
    equal(interval.high, 0.3);

    let one = Paired::over_classes([("a", Some(1.0), Some(2.0))], quick());
    assert_eq!((one.mean, one.standard_error, one.interval), (Some(1.0), None, None));
    let none = Paired::over_classes(Vec::<(u8, _, _)>::new(), quick());
    assert_eq!(none, Paired::default());
}

#[test]
fn percentiles_equal_numpy() {
    for case in reference().percentiles {
        let confidence = Confidence::new(case.confidence).unwrap();
        let interval = percentiles(case.values, confidence).unwrap();
        equal(interval.low, case.low);
        equal(interval.high, case.high);
    }
    assert_eq!(percentiles(vec![f64::NAN], Confidence::default()), None);
    let huge = percentiles(vec![-f64::MAX, f64::MAX], Confidence::default()).unwrap();
    assert!(huge.low.is_finite() && huge.high.is_finite());
}

#[test]
fn a_bootstrap_of_one_unit_or_of_equal_ones_is_a_point() {
    let constant = |_: &[usize]| 0.25;
    let interval = bootstrap(5, quick(), constant).unwrap();
    assert_eq!((interval.low, interval.high), (0.25, 0.25));
    assert_eq!(bootstrap(0, quick(), constant), None);
    assert_eq!(bootstrap(3, quick(), |_| f64::NAN), None);
    let once = Resampling::default().with_resamples(0);
    assert_eq!(once.resamples, 1);
    assert!(bootstrap(3, once, constant).is_some());
}

#[test]
fn confidence_is_between_0_and_1() {
    for wrong in [0.0, 1.0, -0.5, 95.0, f64::NAN] {
        assert!(Confidence::new(wrong).is_err(), "{wrong}");
        assert!(serde_json::from_value::<Confidence>(wrong.into()).is_err(), "{wrong}");
    }
    equal(Confidence::default().z(), 1.959_963_984_540_054);
}

#[test]
fn wilson_equals_scipy() {
    for Wilson { k, n, confidence, low, high } in reference().wilson {
        let interval = wilson(k, n, Confidence::new(confidence).unwrap()).unwrap();
        equal(interval.low, low);
        equal(interval.high, high);
        assert!(0.0 <= interval.low && interval.high <= 1.0);
    }
    assert_eq!(wilson(0, 0, Confidence::default()), None);
    assert_eq!(wilson(2, 1, Confidence::default()), None);
}

#[test]
fn mcnemar_equals_statsmodels() {
    for case in reference().mcnemar {
        let test = McNemar { gained: case.gained, lost: case.lost, unchanged: 3 };
        equal(test.exact(), case.exact);
        for (corrected, expected) in [(false, case.plain), (true, case.corrected)] {
            let (statistic, p_value) = test.chi_square(corrected);
            equal(statistic, expected.0);
            equal(p_value, expected.1);
        }
    }
    assert_eq!(McNemar::new([]).exact(), 1.0);
}

#[test]
fn holm_equals_statsmodels() {
    for case in reference().holm {
        let adjusted = holm(&case.p_values);
        adjusted.iter().zip(case.adjusted).for_each(|(found, expected)| equal(*found, expected));
    }
    assert!(holm(&[]).is_empty());
    let with_nan = holm(&[0.01, f64::NAN, 0.04]);
    assert_eq!((with_nan[0], with_nan[1].is_nan(), with_nan[2]), (0.02, true, 0.04));
}

#[test]
fn krippendorffs_alpha_equals_the_reference_package() {
    for case in reference().alpha {
        equal(krippendorff_alpha(case.ratings).unwrap(), case.alpha);
    }
    assert_eq!(krippendorff_alpha(Vec::<(u8, u8)>::new()), None);
    assert_eq!(krippendorff_alpha([(0, 'a'), (0, 'a'), (1, 'a')]), None, "one answer only");
    assert_eq!(krippendorff_alpha([(0, 'a'), (1, 'b')]), None, "nothing to compare");
}

#[test]
fn a_tie_is_half_a_win() {
    let rate = WinRate::new(3, 1, 4);
    assert_eq!((rate.n(), rate.rate()), (8, Some(0.625)));
    let all_ties = WinRate::new(0, 0, 10);
    assert_eq!(all_ties.rate(), Some(0.5));
    let same = wilson(5, 10, Confidence::default());
    assert_eq!(all_ties.wilson(Confidence::default()), same);
    assert_eq!(
        (WinRate::default().rate(), WinRate::default().wilson(Confidence::default())),
        (None, None)
    );
}

#[test]
fn participants_are_drawn_whole() {
    // Two people who always agree with themselves: drawing choices would give a narrow interval.
    let people = [WinRate::new(50, 0, 0), WinRate::new(0, 50, 0)];
    let interval = WinRate::cluster_bootstrap(&people, quick()).unwrap();
    assert_eq!((interval.low, interval.high), (0.0, 1.0));
    let narrow = people.iter().copied().sum::<WinRate>().wilson(Confidence::default()).unwrap();
    assert!(narrow.high - narrow.low < 0.2);
    assert_eq!(WinRate::cluster_bootstrap(&[], quick()), None);
    assert_eq!(WinRate::cluster_bootstrap(&[WinRate::default()], quick()), None);
    let with_empty = [WinRate::new(1, 0, 0), WinRate::default()];
    assert_eq!(WinRate::cluster_bootstrap(&with_empty, quick()).unwrap().low, 1.0);
}

#[test]
fn the_interval_of_equal_numbers_is_that_number() {
    for number in [0.1, -0.3, 1.0 / 3.0, 1e-300, 0.7] {
        for confidence in [0.5, 0.9, 0.95, 0.99] {
            let confidence = Confidence::new(confidence).unwrap();
            let resampling = quick().with_confidence(confidence);
            let interval = bootstrap(7, resampling, |_| number).unwrap();
            assert_eq!((interval.low, interval.high), (number, number));
            let pairs = (0..7).map(|class| (class, Some(0.0), Some(number)));
            let interval = Paired::over_classes(pairs, resampling).interval.unwrap();
            assert_eq!((interval.low, interval.high), (number, number));
        }
    }
}
