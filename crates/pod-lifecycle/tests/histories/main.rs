//! Random histories: whatever happens to a pod, in whatever order, some promises hold.

mod pods;
mod world;

use pod_model::RestartPolicy;
use proptest::prelude::*;

use pods::{Shape, shape};
use world::{Step, World, step};

fn policies() -> impl Strategy<Value = RestartPolicy> {
    prop_oneof![
        Just(RestartPolicy::Always),
        Just(RestartPolicy::OnFailure),
        Just(RestartPolicy::Never)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    /// The promises themselves are in [`World::check`], which looks at every step.
    #[test]
    fn whatever_happens_the_promises_hold_and_a_deleted_pod_ends(
        policy in policies(),
        shape in shape(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(policy, &shape);
        for step in steps {
            world.take(step);
        }
        world.take(Step::Delete { grace: Some(5) });
        world.live_to_the_end();
    }

    #[test]
    fn facts_about_a_former_start_change_nothing(
        shape in shape(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new(RestartPolicy::Always, &shape);
        for step in steps {
            world.take(step);
            world.stale_facts_change_nothing();
        }
    }
}

#[test]
fn a_history_without_surprises_runs_every_container() {
    let shape = Shape::plain();
    let mut world = World::new(RestartPolicy::Never, &shape);
    world.live_to_the_end_of_a_plain_pod();
}
