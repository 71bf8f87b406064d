//! Conditions on the arguments of a call, which have 64 bits where the filter's machine has 32.

use super::program::{
    ABOVE, AND, ARGUMENTS, AT_LEAST, Action, EQUAL, Instruction, LOAD, RETURN, jump, statement,
};

/// A comparison of an argument with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) argument: u32,
    pub(super) comparison: Comparison,
    pub(super) value: u64,
}

/// How they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// Equal in the bits of the mask.
    MaskedEqual {
        mask: u64,
    },
}

/// Where a comparison goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// With the next instruction.
    On,
    /// Behind the condition: it holds.
    Holds,
    /// Behind the case: it does not hold.
    Fails,
}

/// One comparison of half an argument.
struct Step {
    is_upper: bool,
    mask: Option<u32>,
    code: u16,
    value: u32,
    then: Next,
    otherwise: Next,
}

/// The code of a case: what its action is, when all conditions hold.
pub(super) fn case(conditions: &[Condition], action: Action) -> Vec<Instruction> {
    let mut code = vec![statement(RETURN, action.code())];
    // From the end, so that it is known how far it is to the end.
    for condition in conditions.iter().rev() {
        let behind = code.len();
        let mut front: Vec<Instruction> = Vec::new();
        for step in steps(*condition).into_iter().rev() {
            let to = |next: Next| match next {
                Next::On => 0,
                Next::Holds => front.len(),
                Next::Fails => front.len() + behind,
            };
            let distance = |next| u8::try_from(to(next)).unwrap_or(u8::MAX);
            let test = jump(step.code, step.value, distance(step.then), distance(step.otherwise));
            let half = if step.is_upper { 4 } else { 0 };
            let mut new = vec![statement(LOAD, ARGUMENTS + 8 * condition.argument + half)];
            new.extend(step.mask.map(|mask| statement(AND, mask)));
            new.push(test);
            new.extend(front);
            front = new;
        }
        front.extend(code);
        code = front;
    }
    code
}

fn steps(condition: Condition) -> Vec<Step> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
    use Next::{Fails, Holds, On};
    let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or_default();
    let (upper, lower) = (low(condition.value >> 32), low(condition.value));
    let step = |is_upper, code, then, otherwise| {
        let value = if is_upper { upper } else { lower };
        Step { is_upper, mask: None, code, value, then, otherwise }
    };
    // Larger in the upper half decides, smaller too; equal leaves it to the lower half.
    let by_halves = |larger, smaller, last: Step| {
        vec![step(true, ABOVE, larger, On), step(true, EQUAL, On, smaller), last]
    };
    match condition.comparison {
        Equal => vec![step(true, EQUAL, On, Fails), step(false, EQUAL, Holds, Fails)],
        NotEqual => vec![step(true, EQUAL, On, Holds), step(false, EQUAL, Fails, Holds)],
        Greater => by_halves(Holds, Fails, step(false, ABOVE, Holds, Fails)),
        GreaterOrEqual => by_halves(Holds, Fails, step(false, AT_LEAST, Holds, Fails)),
        Less => by_halves(Fails, Holds, step(false, AT_LEAST, Fails, Holds)),
        LessOrEqual => by_halves(Fails, Holds, step(false, ABOVE, Fails, Holds)),
        MaskedEqual { mask } => vec![
            Step { mask: Some(low(mask >> 32)), ..step(true, EQUAL, On, Fails) },
            Step { mask: Some(low(mask)), ..step(false, EQUAL, Holds, Fails) },
        ],
    }
}
