//! The runs of a judge over many pictures to one mean for each run.

/// The mean of each run over all pictures, in the order of the runs, from the
/// [`runs`](super::Score::runs) of each picture. Their standard deviation is how much the judge varies: a
/// table that says mean ± deviation of three runs is made of these.
///
/// Pictures without a number in one of the runs are left out of all of them. None where that leaves no
/// picture.
///
/// ```
/// use imagerag::evaluation::metric::run_means;
///
/// let pictures = [vec![1.0, 0.5], vec![0.5, 0.5], vec![0.75]]; // The last one failed in the second run.
/// assert_eq!(run_means(&pictures), [0.75, 0.5]);
/// ```
pub fn run_means<R: AsRef<[f64]>>(pictures: &[R]) -> Vec<f64> {
    let runs = pictures.iter().map(|runs| runs.as_ref().len()).max().unwrap_or(0);
    let whole = || pictures.iter().map(AsRef::as_ref).filter(|all| all.len() == runs);
    let mean = |run: usize| whole().map(|all| all[run]).sum::<f64>() / whole().count() as f64;
    (0..runs).map(mean).collect()
}
