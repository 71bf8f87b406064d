//! Mirrors come first; what one cannot give comes from the next.

use std::fs;

use image_puller::Reference;

use crate::image::TestImage;
use crate::registry::{Answer, Length, Registry, Request};
use crate::store::{Scratch, told};

/// What a mirror does instead.
type Fault = fn(&Request, Answer) -> Answer;

/// Pulls from `registry.example`, which is at `last`, with these mirrors.
fn pull(scratch: &Scratch, mirrors: &[String], last: &Registry) -> Result<(), String> {
    let mut text =
        format!("[[registry]]\nprefix = \"registry.example\"\nlocation = \"{}\"\n", last.host());
    text += "insecure = true\n";
    for mirror in mirrors {
        text += &format!("[[registry.mirror]]\nlocation = \"{mirror}\"\ninsecure = true\n");
    }
    fs::write(scratch.path().join("registries.conf"), text).expect("it is ours");
    let reference = Reference::parse("registry.example/image").expect("this is a reference");
    scratch.pull_reference(&reference).map(|_| ()).map_err(|error| told(&error))
}

#[test]
fn a_mirror_that_has_everything_is_enough() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let mirror = Registry::serving(&image, |_, answer| answer);
    let last = Registry::serving(&image, |_, answer| answer);
    pull(&scratch, &[mirror.host()], &last).expect("the mirror has it");
    assert_eq!((mirror.requests().len(), last.requests().len()), (3, 0));
}

#[test]
fn a_mirror_that_cannot_give_the_image_is_passed_over() {
    let rows: [(&str, Fault, usize); 6] = [
        ("it does not have it", |_, _| Answer::new(404, ""), 1),
        ("it is overloaded", |_, _| Answer::new(503, ""), 1),
        (
            "a page stands before it",
            |_, _| Answer::new(200, "").with("Content-Type", "text/html"),
            1,
        ),
        (
            "it has no layer",
            |request, answer| {
                if answer.body.len() > 1000 && request.is_blob() {
                    Answer::new(404, "")
                } else {
                    answer
                }
            },
            3,
        ),
        (
            "it keeps breaking off",
            |request, answer| {
                if answer.body.len() > 1000 && request.is_blob() {
                    Answer { body: Vec::new(), ..answer }.length(Length::Unsaid)
                } else {
                    answer
                }
            },
            7,
        ),
        ("it limits for an hour", |_, _| Answer::new(429, "").with("Retry-After", "3600"), 1),
    ];
    for (what, fault, count) in rows {
        let (image, scratch) = (TestImage::of_size(5000), Scratch::new());
        let mirror = Registry::serving(&image, fault);
        let last = Registry::serving(&image, |_, answer| answer);
        pull(&scratch, &[mirror.host()], &last).unwrap_or_else(|told| panic!("{what}: {told}"));
        assert_eq!(mirror.requests().len(), count, "{what}");
        assert_eq!(last.requests().len(), 3, "{what}");
        assert_eq!(scratch.names_in("tmp"), [] as [String; 0]);
    }
}

#[test]
fn a_mirror_that_is_not_there_is_passed_over() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let last = Registry::serving(&image, |_, answer| answer);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let address = nobody.local_addr().expect("it is bound").to_string();
    drop(nobody);
    pull(&scratch, &[address], &last).expect("the registry has it");
}

#[test]
fn a_mirror_with_other_bytes_ends_the_pull() {
    let (image, scratch) = (TestImage::of_size(5000), Scratch::new());
    let mirror = Registry::serving(&image, |request, mut answer| {
        if request.is_blob() && answer.body.len() > 1000 {
            answer.body[600] ^= 1;
        }
        answer
    });
    let last = Registry::serving(&image, |_, answer| answer);
    let told = pull(&scratch, &[mirror.host()], &last).expect_err("somebody should look at that");
    assert!(told.contains("has other content than its digest says"), "{told}");
    assert_eq!(last.requests().len(), 0);
}
