//! The pictures.

use crate::results::{Cold, Results};
use crate::side::{Kind, Side};
use crate::statistics::{median, number};
use crate::table::Row;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const RUST: RGBColor = RGBColor(176, 74, 28);
const NODE: RGBColor = RGBColor(38, 110, 62);
const LESS: RGBColor = RGBColor(62, 118, 178);
const MORE: RGBColor = RGBColor(206, 120, 54);
const TEXT: RGBColor = RGBColor(40, 40, 40);
const LINE: RGBColor = RGBColor(215, 215, 215);

/// Between two lines, and what text stands in, in pixels.
const STEP: i32 = 24;
const WIDTH: i32 = 900;
const LABELS: i32 = 330;
const RIGHT: i32 = 60;
const TOP: i32 = 78;
const BOTTOM: i32 = 52;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a picture of so many lines.
fn draw(file: &Path, lines: usize, title: &str, below: &str, with: impl FnOnce(&Area<'_>)) {
    let height = TOP + STEP * i32::try_from(lines).unwrap() + BOTTOM;
    let area = SVGBackend::new(file, (WIDTH.unsigned_abs(), height.unsigned_abs())).into_drawing_area();
    area.fill(&WHITE).unwrap();
    write(&area, title, (16, 24), 18.0, HPos::Left, TEXT);
    write(&area, below, (16, 47), 13.0, HPos::Left, TEXT);
    with(&area);
    area.present().unwrap();
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), pixels: f64, anchor: HPos, color: RGBColor) {
    // The library writes by the height of a line, the reader knows that of letters.
    let style = ("sans-serif", pixels * 1.24).into_font().color(&color).pos(Pos::new(anchor, VPos::Center));
    area.draw_text(text, &style, at).unwrap();
}

fn line(area: &Area<'_>, from: (i32, i32), to: (i32, i32), color: RGBColor, width: u32) {
    area.draw(&PathElement::new(vec![from, to], color.stroke_width(width))).unwrap();
}

/// The middle of a line.
fn y_of(line: usize) -> i32 {
    TOP + STEP * i32::try_from(line).unwrap() + STEP / 2
}

/// A scale on which each tenfold has the same length.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    #[expect(clippy::cast_possible_truncation, reason = "a pixel of some hundred")]
    fn x_of(&self, value: f64) -> i32 {
        let part = (value.clamp(self.least, self.most) / self.least).ln() / (self.most / self.least).ln();
        LABELS + (part * f64::from(WIDTH - RIGHT - LABELS)).round() as i32
    }

    /// Draws it through so many lines.
    fn draw(&self, area: &Area<'_>, lines: usize, name: &str, shown: impl Fn(f64) -> String) {
        let bottom = y_of(lines) - STEP / 2;
        let mut value = self.least;
        while value <= self.most * 1.01 {
            let x = self.x_of(value);
            line(area, (x, TOP), (x, bottom), LINE, 1);
            write(area, &shown(value), (x, bottom + 12), 12.0, HPos::Center, TEXT);
            value *= 10.0;
        }
        let middle = i32::midpoint(LABELS, WIDTH - RIGHT);
        write(area, name, (middle, bottom + 34), 12.0, HPos::Center, TEXT);
    }
}

/// Bars: how many times as much Node needs as Rust.
pub(crate) fn ratios(rows: &[Row], file: &Path) {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.is_drawn).collect();
    let mut lines: Vec<(&str, Option<&Row>)> = Vec::new();
    for row in rows {
        if lines.last().is_none_or(|(of, _)| *of != row.of) {
            lines.push((row.of, None));
        }
        lines.push((row.of, Some(row)));
    }
    let title = "How many times as much Node 20 needs as Rust";
    let below = "Bars to the right: Rust needs less. Black marks: the goals. One run, one machine, both sides in turn.";
    draw(file, lines.len(), title, below, |area| {
        let scale = Scale { least: 0.01, most: 100.0 };
        scale.draw(area, lines.len(), "Node / Rust (each step is tenfold)", |value| format!("{value}"));
        for (number, (of, row)) in lines.iter().enumerate() {
            let y = y_of(number);
            let Some(row) = row else {
                write(area, of, (16, y), 14.0, HPos::Left, BLACK);
                continue;
            };
            let times = 1.0 / row.ratio();
            write(area, &row.what, (LABELS - 10, y), 12.0, HPos::Right, TEXT);
            let (one, x) = (scale.x_of(1.0), scale.x_of(times));
            let color = if times >= 1.0 { LESS } else { MORE };
            area.draw(&Rectangle::new([(one.min(x), y - 7), (one.max(x), y + 7)], color.filled())).unwrap();
            let shown = if times < 1.0 { format!("{times:.3}") } else { format!("{times:.1}") };
            let goal = row.goal.map(|goal| scale.x_of(1.0 / goal));
            if let Some(goal) = goal {
                line(area, (goal, y - 10), (goal, y + 10), BLACK, 2);
            }
            let end = if times < 1.0 { (x - 6, HPos::Right) } else { (x.max(goal.unwrap_or(x)) + 6, HPos::Left) };
            write(area, &shown, (end.0, y), 12.0, end.1, TEXT);
        }
    });
}

/// One line of dots: each start of a side.
fn dots(area: &Area<'_>, scale: &Scale, y: i32, cold: &Cold) {
    let color = match cold.side {
        Side::Rust => RUST,
        Side::Node => NODE,
    };
    let starts = cold.start_us();
    for (number, start) in (0_i32..).zip(&starts) {
        // So that equal ones do not hide each other.
        let at = (scale.x_of(ms(*start)), y + number % 5 * 2 - 4);
        area.draw(&Circle::new(at, 3, color.mix(0.45).filled())).unwrap();
    }
    let middle = scale.x_of(ms(median(&starts)));
    line(area, (middle, y - 9), (middle, y + 9), BLACK, 2);
}

fn ms(us: u64) -> f64 {
    number(us) / 1e3
}

/// Dots: every cold start, from the start of the process to its first answer.
pub(crate) fn cold_starts(results: &Results, file: &Path) {
    let shares = [None, Some(512), Some(256), Some(128)];
    let mut lines: Vec<(String, Option<&Cold>)> = Vec::new();
    for kind in Kind::BOTH {
        lines.push((kind.name().to_owned(), None));
        for share in shares {
            for cold in Side::BOTH.iter().filter_map(|side| results.cold(*side, kind, share)) {
                let with = share.map_or("a whole processor".to_owned(), |share| format!("the share of {share} MB"));
                lines.push((format!("{}, {with}", cold.side), Some(cold)));
            }
        }
    }
    let title = "Cold starts: from the start of the process to its first answer";
    let below =
        "Each dot is a start, each black mark a median. Lambda gives a function a processor's share by its memory.";
    draw(file, lines.len(), title, below, |area| {
        let scale = Scale { least: 10.0, most: 10_000.0 };
        scale.draw(area, lines.len(), "milliseconds (each step is tenfold)", |value| format!("{value}"));
        for (number, (label, cold)) in lines.iter().enumerate() {
            let y = y_of(number);
            match cold {
                None => write(area, label, (16, y), 14.0, HPos::Left, BLACK),
                Some(cold) => {
                    write(area, label, (LABELS - 10, y), 12.0, HPos::Right, TEXT);
                    dots(area, &scale, y, cold);
                }
            }
        }
    });
}
