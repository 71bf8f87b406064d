//! `pull`.

use image_puller::{PullError, PullOptions, Puller, Reference};

use super::{Board, near_name, open, parse};
use crate::cli::PlaceArgs;
use crate::cli::images::PullArgs;
use crate::failure::{Failure, Kind};
use crate::screen;
use crate::views::images::size;

pub(crate) fn pull(args: &PlaceArgs, pull: &PullArgs) -> Result<(), Failure> {
    let references =
        pull.image.iter().map(|image| parse(image)).collect::<Result<Vec<Reference>, _>>()?;
    for reference in &references {
        let mut options = PullOptions::from_environment()
            .map_err(|error| Failure::of(Kind::Failed, &error).maybe_hint(error.hint()))?;
        options.platform = pull.platform.clone();
        let puller = Puller::new(open(args)?, options);
        let board = Board::new(pull.quiet);
        board.title(&format!("{}:", reference.familiar()));
        let pulled = puller.pull(reference, &board);
        board.clear();
        let pulled = pulled.map_err(|error| failure(args, reference, &error))?;
        if !pull.quiet {
            let (name, digest) = (&pulled.reference, &pulled.image.manifest_digest);
            screen::answer(&format!("{name} {digest} {}\n", size(pulled.image.size)))?;
        }
    }
    Ok(())
}

/// A name that no registry has may be one that is nearly right.
fn failure(args: &PlaceArgs, reference: &Reference, error: &PullError) -> Failure {
    let failure = Failure::of(Kind::Failed, error);
    let images = if error.is_absent() || error.is_unreachable() {
        open(args).and_then(|store| Ok(store.list()?))
    } else {
        Ok(Vec::new())
    };
    let near = images.ok().and_then(|images| near_name(&images, &reference.to_string()));
    if near.as_ref() == Some(&reference.familiar()) {
        let here = format!(
            "{} is here already; a pod uses it with imagePullPolicy: IfNotPresent or Never",
            reference.familiar()
        );
        return failure.hint(match error.hint() {
            Some(hint) => format!("{hint}; {here}"),
            None => here,
        });
    }
    match (error.hint(), near) {
        (Some(hint), Some(near)) => {
            failure.hint(format!("{hint}; did you mean {near}, which is here?"))
        }
        (hint, _) => failure.maybe_hint(hint),
    }
}
