//! Interleaved rounds: A B C, A B C, so that what disturbs the machine for a while disturbs all.

use anyhow::Result;

use crate::report::Cell;

/// The rounds of one competitor, or why there are none.
#[derive(Debug)]
pub(super) struct Results<T> {
    pub(super) name: &'static str,
    pub(super) rounds: Result<Vec<T>, String>,
}

/// Runs each once a round. Who fails once, or answers wrongly, is not run again and not compared.
pub(super) fn interleave<T>(
    what: &str,
    names: &[&'static str],
    rounds: usize,
    mut run: impl FnMut(&'static str) -> Result<T>,
) -> Vec<Results<T>> {
    let mut all: Vec<Results<T>> =
        names.iter().map(|&name| Results { name, rounds: Ok(Vec::new()) }).collect();
    for round in 1..=rounds {
        for results in &mut all {
            let Ok(done) = &mut results.rounds else { continue };
            eprintln!("{what}, round {round} of {rounds}: {}", results.name);
            match run(results.name) {
                Ok(figures) => done.push(figures),
                Err(error) => results.rounds = Err(format!("{error:#}")),
            }
        }
    }
    all
}

/// A figure over that of the baseline in the same round; absent if the baseline failed.
pub(super) fn ratio<T>(rounds: &[T], baseline: &Results<T>, figure: impl Fn(&T) -> f64) -> Cell {
    let Ok(baseline) = &baseline.rounds else { return Cell::Absent };
    let pairs: Vec<_> = rounds.iter().zip(baseline).collect();
    Cell::over(&pairs, |(own, floor)| figure(own) / figure(floor))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::{interleave, ratio};
    use crate::report::Cell;

    #[test]
    fn interleaves_and_drops_the_failed() {
        let mut order = Vec::new();
        let results = interleave("test", &["a", "b"], 3, |name| {
            order.push(name);
            if name == "b" && order.len() > 3 {
                bail!("enough");
            }
            Ok(order.len() as f64)
        });
        assert_eq!(order, ["a", "b", "a", "b", "a"]);
        assert_eq!(results[0].rounds, Ok(vec![1.0, 3.0, 5.0]));
        assert_eq!(results[1].rounds, Err("enough".to_owned()));
    }

    #[test]
    fn ratios_are_within_a_round() {
        let mut values = [1.0, 2.0, 10.0, 30.0].into_iter();
        let results = interleave("test", &["floor", "own"], 2, |_| Ok(values.next().unwrap()));
        let Cell::Spread(spread) =
            ratio(results[1].rounds.as_ref().unwrap(), &results[0], |value| *value)
        else {
            panic!("no spread");
        };
        assert_eq!((spread.min, spread.max), (2.0, 3.0));
    }
}
