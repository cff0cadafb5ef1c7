//! A picture of coloured rectangles and letters, and its PNG.

use super::font;
use anyhow::Result;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write as _;

/// Red, green, blue.
pub type Colour = [u8; 3];

/// A picture.
pub struct Canvas {
    width: i32,
    height: i32,
    pixels: Vec<u8>,
}

/// Where a text begins, seen from its point.
#[derive(Debug, Clone, Copy)]
pub enum Align {
    /// There.
    Left,
    /// Half of it before.
    Middle,
    /// All of it before.
    Right,
}

impl Canvas {
    /// A white one.
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            width: width.into(),
            height: height.into(),
            pixels: vec![255; usize::from(width) * usize::from(height) * 3],
        }
    }

    /// Fills a rectangle; what is outside of the picture is left out.
    pub fn fill(&mut self, [x, y, width, height]: [i32; 4], colour: Colour) {
        for row in y.max(0)..(y + height).min(self.height) {
            for column in x.max(0)..(x + width).min(self.width) {
                let at = ((row * self.width + column) * 3) as usize;
                self.pixels[at..at + 3].copy_from_slice(&colour);
            }
        }
    }

    /// Writes a line of letters; `size` is that of a dot. `y` is the upper edge.
    pub fn text(&mut self, text: &str, [x, y]: [i32; 2], size: i32, align: Align, colour: Colour) {
        let width = text.chars().count() as i32 * font::ADVANCE * size - size;
        let mut at = match align {
            Align::Left => x,
            Align::Middle => x - width / 2,
            Align::Right => x - width,
        };
        for letter in text.chars() {
            for (column, dots) in (0..).zip(font::glyph(letter)) {
                for row in (0..font::ROWS).filter(|row| dots >> row & 1 == 1) {
                    self.fill([at + column * size, y + row * size, size, size], colour);
                }
            }
            at += font::ADVANCE * size;
        }
    }

    /// The picture as PNG.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        for row in self.pixels.chunks(self.width as usize * 3) {
            // No filter.
            zlib.write_all(&[0])?;
            zlib.write_all(row)?;
        }
        let mut header = Vec::new();
        header.extend_from_slice(&self.width.to_be_bytes());
        header.extend_from_slice(&self.height.to_be_bytes());
        // Eight bits a channel, red green blue, the only compression, the only kind of filters, not interlaced.
        header.extend_from_slice(&[8, 2, 0, 0, 0]);
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut png, *b"IHDR", &header)?;
        chunk(&mut png, *b"IDAT", &zlib.finish()?)?;
        chunk(&mut png, *b"IEND", &[])?;
        Ok(png)
    }
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) -> Result<()> {
    png.extend_from_slice(&u32::try_from(data.len())?.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&kind);
    crc.update(data);
    png.extend_from_slice(&kind);
    png.extend_from_slice(data);
    png.extend_from_slice(&crc.sum().to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_picture_is_read_back() {
        let mut canvas = Canvas::new(4, 2);
        canvas.fill([1, 0, 9, 1], [1, 2, 3]);
        canvas.fill([-5, -5, 2, 2], [9, 9, 9]);
        let png = canvas.png().unwrap();
        assert_eq!(png[16..24], [0, 0, 0, 4, 0, 0, 0, 2]);
        let at = png.windows(4).position(|window| window == b"IDAT").unwrap();
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(&png[at + 4..]).read_to_end(&mut rows).unwrap();
        assert_eq!(rows[..13], [0, 255, 255, 255, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
        assert_eq!(rows[13..], [&[0][..], &[255; 12]].concat());
        // The checksum of an empty IEND is the same in every PNG.
        assert!(png.ends_with(b"IEND\xae\x42\x60\x82"));
    }

    #[test]
    fn letters_are_aligned() {
        let inked = |align| {
            let mut canvas = Canvas::new(21, 8);
            canvas.text("I", [10, 0], 1, align, [0; 3]);
            let row: Vec<&[u8]> = canvas.pixels[..63].chunks(3).collect();
            row.iter().position(|pixel| pixel[0] == 0)
        };
        assert_eq!([Align::Left, Align::Middle, Align::Right].map(inked), [Some(11), Some(9), Some(6)]);
    }
}
