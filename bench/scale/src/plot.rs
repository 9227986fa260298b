//! The pictures of `docs/SCALE.md`.
#![expect(clippy::cast_precision_loss, reason = "a pixel is coarser")]

use crate::measured::Measured;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

const SIZE: (u32, u32) = (820, 420);
const DOTS: RGBColor = RGBColor(38, 92, 160);
const STRAIGHT: RGBColor = RGBColor(170, 170, 170);
const ALLOWED: RGBColor = RGBColor(196, 88, 40);

/// What is drawn against the number of customers.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// The picture's title.
    pub title: &'static str,
    /// What stands at the upright axis.
    pub unit: &'static str,
    /// The figure.
    pub of: fn(&Measured) -> f64,
    /// What the straight line through the largest month begins with: what nobody at all would take.
    pub standing: f64,
}

/// Draws a figure against the number of customers, with the straight line from what nobody would take to the largest month. Both axes go by tens.
pub fn growth(all: &[Measured], growth: Growth, file: &Path) -> Result<(), Box<dyn Error>> {
    let Some(largest) = all.last() else { return Err("nothing was measured".into()) };
    let dots: Vec<(f64, f64)> = all.iter().map(|it| (f64::from(it.customers), (growth.of)(it))).collect();
    let slope = ((growth.of)(largest) - growth.standing) / f64::from(largest.customers);
    let straight = |customers: f64| growth.standing + slope * customers;
    let most = dots.iter().map(|dot| dot.1).fold(0.0, f64::max);
    let least = dots.iter().map(|dot| dot.1).fold(f64::INFINITY, f64::min).min(straight(1.0)).max(1e-3);
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(growth.title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(46)
        .y_label_area_size(84)
        .build_cartesian_2d(
            (0.8..f64::from(largest.customers) * 1.6).log_scale(),
            (least * 0.7..most * 1.6).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("customers due at once")
        .y_desc(growth.unit)
        .x_label_formatter(&|value| whole(*value))
        .y_label_formatter(&|value| whole(*value))
        .draw()?;
    let steps = (0..=100).map(|step| f64::from(largest.customers).powf(f64::from(step) / 100.0));
    chart.draw_series(LineSeries::new(
        steps.map(|customers| (customers, straight(customers))),
        STRAIGHT.stroke_width(2),
    ))?;
    chart.draw_series(dots.into_iter().map(|dot| Circle::new(dot, 5, DOTS.filled())))?;
    area.present()?;
    Ok(())
}

/// Draws how the queue drains, and what would be left if the whole allowance were used from the first moment on.
pub fn queue(measured: &Measured, file: &Path) -> Result<(), Box<dyn Error>> {
    let end = measured.charged_ms as f64 / 1e3;
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let title =
        format!("{} customers due at once, {} charges a second allowed", measured.customers, measured.allowance);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(46)
        .y_label_area_size(84)
        .build_cartesian_2d(0.0..end * 1.05, 0.0..f64::from(measured.customers) * 1.05)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("seconds after the planner's tick")
        .y_desc("messages that wait")
        .x_label_formatter(&|value| whole(*value))
        .y_label_formatter(&|value| whole(*value))
        .draw()?;
    let ideal = f64::from(measured.customers) / f64::from(measured.allowance);
    let allowed = [(0.0, f64::from(measured.customers)), (ideal, 0.0)];
    chart
        .draw_series(LineSeries::new(allowed, ALLOWED.stroke_width(2)))?
        .label("left if all of the allowance were used")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], ALLOWED.stroke_width(2)));
    let waiting = measured.looks.iter().map(|look| (look.ms as f64 / 1e3, look.waiting as f64));
    chart
        .draw_series(LineSeries::new(waiting, DOTS.stroke_width(2)))?
        .label("waiting")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], DOTS.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .border_style(STRAIGHT)
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    Ok(())
}

fn whole(value: f64) -> String {
    if value >= 1e6 {
        format!("{} M", value / 1e6)
    } else if value >= 1e3 {
        format!("{} k", value / 1e3)
    } else {
        format!("{value}")
    }
}
