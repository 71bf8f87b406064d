//! Decompresses a layer to nothing: the floor that `scripts/bench images` compares pulls with.

use std::fs::File;
use std::io::{self, BufReader, Read};

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let source = BufReader::with_capacity(256 * 1024, File::open(&path)?);
    let mut first = [0];
    File::open(&path)?.read_exact(&mut first)?;
    let is_zstd = first == [0x28];
    let mut plain: Box<dyn Read> = if is_zstd {
        Box::new(zstd::Decoder::with_buffer(source)?)
    } else {
        Box::new(flate2::bufread::MultiGzDecoder::new(source))
    };
    let mut buffer = vec![0; 256 * 1024];
    while plain.read(&mut buffer)? > 0 {}
    Ok(())
}
