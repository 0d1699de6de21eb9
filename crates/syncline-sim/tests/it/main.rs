//! A few seeds, and a few deliberate bugs, in every run of the tests; `cargo xtask sim` runs more.

#![expect(clippy::unwrap_used, reason = "these are tests, and so are their parts")]

mod hazards;
mod stories;

use syncline_sim::bug::Bug;
use syncline_sim::scenario::Simulator;

#[tokio::test]
async fn what_must_be_true_is_true() {
    let mut simulator = Simulator::new(Bug::None);
    for seed in 0..300 {
        let outcome = simulator.run(seed).await;
        assert!(outcome.wrong.is_empty(), "seed {seed}: {:#?}", outcome.wrong);
    }
}

#[tokio::test]
async fn a_seed_does_the_same_again_alone_and_among_others() {
    let mut among = Simulator::new(Bug::None);
    // More than share a mix, with a second tenant and a real database among them.
    for seed in 0..40 {
        let (one, again) = (among.run(seed).await, among.run(seed).await);
        let alone = Simulator::new(Bug::None).run(seed).await;
        assert_eq!(one, again, "seed {seed}");
        assert_eq!(one, alone, "seed {seed}");
    }
}

#[tokio::test]
async fn a_process_may_die_at_every_point() {
    let outcome = Simulator::new(Bug::None).run_every_point(3).await;
    assert!(outcome.tally.crashes > 10, "{:?}", outcome.tally);
    assert!(outcome.wrong.is_empty(), "{:#?}", outcome.wrong);
}

#[tokio::test]
async fn deliberate_bugs_are_caught() {
    for bug in [Bug::ForgetsWhatItSent, Bug::RetriesBlindly, Bug::OneBase, Bug::BelievesListings] {
        let mut caught = false;
        let mut simulator = Simulator::new(bug);
        for seed in 0..300 {
            caught |= !simulator.run(seed).await.wrong.is_empty();
            if caught {
                break;
            }
        }
        assert!(caught, "{bug:?}");
    }
}
