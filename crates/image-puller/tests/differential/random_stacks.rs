//! Random stacks: ours against the model, and both against umoci.
//! `PROPTEST_CASES=2000` tries more of them.

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::Test;
use crate::item::{Item, archive};
use crate::listing::differences;
use crate::model::{Links, Model};
use crate::side_by_side::Bench;
use crate::stacks::{acceptable, stack};

pub(crate) const TESTS: &[Test] = &[
    (
        "random_stacks_look_as_if_their_layers_were_applied_in_order",
        random_stacks_look_as_if_their_layers_were_applied_in_order,
    ),
    (
        "random_stacks_are_refused_where_an_entry_cannot_be_applied",
        random_stacks_are_refused_where_an_entry_cannot_be_applied,
    ),
];

pub(crate) const TESTS_WITH_UMOCI: &[Test] =
    &[("random_stacks_look_as_umoci_unpacks_them", random_stacks_look_as_umoci_unpacks_them)];

fn check(cases: u32, test: impl Fn(Vec<Vec<Item>>) -> Result<(), TestCaseError>) {
    let persistence = Some(Box::new(FileFailurePersistence::Off) as Box<_>);
    let given = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let cases = given.unwrap_or(cases);
    let config = Config {
        cases,
        failure_persistence: persistence,
        max_shrink_iters: 400,
        max_global_rejects: 100 * cases,
        ..Config::default()
    };
    if let Err(error) = TestRunner::new(config).run(&stack(), test) {
        panic!("{error}");
    }
}

/// What an image of these layers looks like if they are applied in order; none if it is refused.
fn modelled(stack: &[Vec<Item>], links: Links) -> Option<Model> {
    let mut model = Model::new(links);
    for layer in stack {
        for item in layer {
            model.apply(item).ok()?;
        }
        model.next_layer();
    }
    Some(model)
}

fn archives(stack: &[Vec<Item>]) -> Vec<Vec<u8>> {
    stack.iter().map(|layer| archive(layer)).collect()
}

fn random_stacks_look_as_if_their_layers_were_applied_in_order() {
    check(500, |stack| {
        let stack = acceptable(&stack);
        let model = modelled(&stack, Links::CopiedUp).expect("what is refused was left out");
        let found = Bench::new(archives(&stack)).ours().map_err(TestCaseError::fail)?;
        let told = differences(&model.listing(), &found);
        prop_assert!(told.is_empty(), "{stack:#?}\n{}", told.join("\n"));
        Ok(())
    });
}

fn random_stacks_are_refused_where_an_entry_cannot_be_applied() {
    check(300, |stack| {
        let is_refused = modelled(&stack, Links::CopiedUp).is_none();
        let found = Bench::new(archives(&stack)).ours();
        prop_assert_eq!(found.is_err(), is_refused, "{:#?}: {:?}", stack, found.err());
        Ok(())
    });
}

fn random_stacks_look_as_umoci_unpacks_them() {
    check(60, |stack| {
        let stack = acceptable(&stack);
        let model = modelled(&stack, Links::Shared).expect("what is refused was left out");
        prop_assume!(!model.is_contested);
        let told = differences(&model.listing(), &Bench::new(archives(&stack)).umoci());
        prop_assert!(told.is_empty(), "{stack:#?}\n{}", told.join("\n"));
        Ok(())
    });
}
