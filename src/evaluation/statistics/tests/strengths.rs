//! Choices among several systems to strengths.

use super::super::{BradleyTerry, Resampling};
use super::{equal, quick, reference};

#[test]
fn strengths_equal_choix() {
    for case in reference().bradley_terry {
        let model = BradleyTerry::fit(&case.wins).unwrap();
        model
            .strengths
            .iter()
            .zip(case.strengths)
            .for_each(|(found, expected)| equal(*found, expected));
    }
    assert!(BradleyTerry::fit(&[]).unwrap().strengths.is_empty());
}

#[test]
fn strengths_far_apart_are_those_of_maximum_likelihood() {
    // Where only neighbours are compared, each difference is the logarithm of its odds.
    for odds in [1.5, 1e3, 1e6, 1e12, 1e100] {
        let n = 10;
        let mut wins = vec![vec![0.0; n]; n];
        for i in 1..n {
            (wins[i][i - 1], wins[i - 1][i]) = (odds, 1.0);
        }
        let model = BradleyTerry::fit(&wins).unwrap();
        for pair in model.strengths.windows(2) {
            let error = (pair[1] - pair[0] - odds.ln()).abs();
            assert!(error < 1e-9 * odds.ln().max(1.0), "{odds}: {error}");
        }
        let larger: Vec<Vec<f64>> =
            wins.iter().map(|row| row.iter().map(|count| count * 1e200).collect()).collect();
        let larger = BradleyTerry::fit(&larger).unwrap();
        assert!((larger.strengths[0] / model.strengths[0] - 1.0).abs() < 1e-9, "{odds}");
    }
    // Everywhere else expected and actual wins are equal.
    let mut random = fastrand::Rng::with_seed(1);
    for n in 2..12 {
        let wins: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                let count = |j| if i == j { 0.0 } else { (12.0 * random.f64()).exp().round() };
                (0..n).map(count).collect()
            })
            .collect();
        let strengths = BradleyTerry::fit(&wins).unwrap().strengths;
        for i in 0..n {
            let won: f64 = wins[i].iter().sum();
            let expected: f64 = (0..n)
                .map(|j| (wins[i][j] + wins[j][i]) / (1.0 + (strengths[j] - strengths[i]).exp()))
                .sum();
            assert!((won / expected - 1.0).abs() < 1e-9, "{n}: {won} {expected}");
        }
    }
}

#[test]
fn many_draws_of_many_systems_have_their_intervals() {
    let mut random = fastrand::Rng::with_seed(2);
    let clusters: Vec<Vec<Vec<f64>>> = (0..30)
        .map(|_| {
            let mut count =
                |i: usize, j: usize| f64::from(u8::from(i > j && random.usize(..10) > j));
            let mut wins: Vec<Vec<f64>> =
                (0..10).map(|i| (0..10).map(|j| count(i, j)).collect()).collect();
            (0..10).for_each(|i| (0..i).for_each(|j| wins[j][i] = 1.0 - wins[i][j]));
            wins
        })
        .collect();
    let resampling = Resampling::default().with_resamples(10_000);
    let (model, intervals) = BradleyTerry::cluster_bootstrap(&clusters, resampling).unwrap();
    for (strength, interval) in model.strengths.iter().zip(intervals) {
        let interval = interval.unwrap();
        assert!(interval.low < *strength && *strength < interval.high, "{strength} {interval:?}");
    }
}

#[test]
fn strengths_that_are_not_finite_are_refused() {
    let never = vec![vec![0.0, 3.0], vec![0.0, 0.0]];
    let error = BradleyTerry::fit(&never).unwrap_err().to_string();
    assert!(error.contains("system 1"), "{error}");
    for wrong in [vec![vec![0.0]; 2], vec![vec![0.0, f64::NAN], vec![1.0, 0.0]]] {
        assert!(BradleyTerry::fit(&wrong).is_err());
    }
}

#[test]
fn strengths_have_intervals_over_participants() {
    let first = vec![vec![0.0, 3.0], vec![1.0, 0.0]];
    let second = vec![vec![0.0, 1.0], vec![1.0, 0.0]];
    let (model, intervals) = BradleyTerry::cluster_bootstrap(&[first, second], quick()).unwrap();
    equal(model.strengths[0], 2_f64.ln() / 2.0);
    let interval = intervals[0].unwrap();
    equal(interval.low, 0.0);
    equal(interval.high, 3_f64.ln() / 2.0);
    assert!(BradleyTerry::cluster_bootstrap(&[vec![vec![0.0]], vec![]], quick()).is_err());
}
