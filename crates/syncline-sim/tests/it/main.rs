//! A few seeds, and a few deliberate bugs, in every run of the tests; `cargo xtask sim` runs more.

#![expect(clippy::unwrap_used, reason = "these are tests, and so are their parts")]

mod stories;

use syncline_sim::bug::Bug;
use syncline_sim::scenario::run;

#[tokio::test]
async fn what_must_be_true_is_true() {
    for seed in 0..150 {
        let outcome = run(seed, Bug::None).await;
        assert!(outcome.wrong.is_empty(), "seed {seed}: {:#?}", outcome.wrong);
    }
}

#[tokio::test]
async fn equal_seeds_do_equal_things() {
    for seed in 0..10 {
        let (one, other) = (run(seed, Bug::None).await, run(seed, Bug::None).await);
        assert_eq!(one.tally, other.tally, "seed {seed}");
    }
}

#[tokio::test]
async fn deliberate_bugs_are_caught() {
    for bug in [Bug::ForgetsWhatItSent, Bug::RetriesBlindly, Bug::OneBase, Bug::BelievesListings] {
        let mut caught = false;
        for seed in 0..200 {
            caught |= !run(seed, bug).await.wrong.is_empty();
            if caught {
                break;
            }
        }
        assert!(caught, "{bug:?}");
    }
}
