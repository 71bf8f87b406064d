//! The sessions in the documentation, played.

use std::process::ExitCode;

use e2e_tests::needs::{self, Need};
use e2e_tests::{Node, Session, fixtures};
use libtest_mimic::Arguments;

fn play(document: &str, images: &[&str]) {
    let text = std::fs::read_to_string(fixtures::workspace().join(document));
    let node = Node::new("docs", images);
    Session::new(&node).play(&text.expect("the document is there"));
}

const KUBIA: [&str; 4] = ["init-demo", "network-connectivity-checker", "kubia", "kubia-ssl-proxy"];

fn the_session_in_the_readme_is_real() {
    play("README.md", &KUBIA);
}

fn every_level_of_the_tour_shows_what_it_says() {
    play("docs/tour.md", &[&KUBIA[..], &["busybox"]].concat());
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let needs = [Need::Root, Need::Fixtures, Need::Lab];
    let trials = [
        needs::trial(
            "the_session_in_the_readme_is_real",
            the_session_in_the_readme_is_real,
            &needs,
        ),
        needs::trial(
            "every_level_of_the_tour_shows_what_it_says",
            every_level_of_the_tour_shows_what_it_says,
            &needs,
        ),
    ];
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}
