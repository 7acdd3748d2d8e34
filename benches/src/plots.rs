//! The plots: ratios to the floor, side by side and as readers grow.

use std::path::Path;

use plotters::prelude::*;

use crate::report::{Pick, Report, Section};
use crate::{Kind, Outcome};

const SIZE: (u32, u32) = (900, 520);
/// A long ratio is cut off, so that the others can be told apart.
const RATIO_MAX: f64 = 6.0;

/// The curves of [`growth`].
const CURVES: [Kind; 9] = [
    Kind::OursWs,
    Kind::OursSse,
    Kind::OursSseServe,
    Kind::AxumWs4k,
    Kind::FastWs,
    Kind::TokioWs,
    Kind::SocketIo,
    Kind::AxumSse,
    Kind::HyperSse,
];

impl Report {
    /// Draws `ratios.svg` and `growth.svg` into a directory.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn plot(&self, directory: &Path) -> Outcome {
        std::fs::create_dir_all(directory)?;
        if let Some(section) = self.of(1_000).or(self.sections.first()) {
            ratios(section, &directory.join("ratios.svg"))?;
        }
        growth(self, &directory.join("growth.svg"))
    }
}

/// A bar per kind.
fn ratios(section: &Section, file: &Path) -> Outcome {
    let bars: Vec<_> =
        Kind::ALL.into_iter().filter_map(|kind| Some((kind, section.to_floor(kind, Pick::One)?))).collect();
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!("CPU per delivery beside a bare send loop, {} readers", section.plan.readers);
    let rows = bars.len().max(1) as i32;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(170)
        .build_cartesian_2d(0.0..RATIO_MAX, 0..rows)?;
    let name = |row: &i32| {
        let bar = usize::try_from(rows - 1 - row).ok().and_then(|at| bars.get(at));
        bar.map_or(String::new(), |(kind, _)| kind.name().to_owned())
    };
    let mut mesh = chart.configure_mesh();
    mesh.disable_y_mesh().y_labels(bars.len() + 1).y_label_formatter(&name).draw()?;
    chart.draw_series(bars.iter().enumerate().map(|(at, (kind, ratio))| {
        let row = rows - 1 - at as i32;
        let colour = if kind.is_ours() { BLUE.mix(0.8) } else { BLACK.mix(0.3) };
        let mut bar = Rectangle::new([(0.0, row), (ratio.min(RATIO_MAX), row + 1)], colour.filled());
        bar.set_margin(2, 2, 0, 0);
        bar
    }))?;
    area.present()?;
    Ok(())
}

/// The ratio of some kinds over the number of readers.
fn growth(report: &Report, file: &Path) -> Outcome {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("CPU per delivery beside a bare send loop, as readers grow", ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(40)
        .build_cartesian_2d((100.0..10_000.0).log_scale(), 0.0..3.0)?;
    chart.configure_mesh().x_desc("readers").draw()?;
    for (at, kind) in CURVES.into_iter().enumerate() {
        let points = [100, 1_000, 10_000]
            .into_iter()
            .filter_map(|readers| Some((readers as f64, report.of(readers)?.to_floor(kind, Pick::One)?)));
        let colour = Palette99::pick(at).stroke_width(if kind.is_ours() { 3 } else { 1 });
        let curve = chart.draw_series(LineSeries::new(points, colour))?;
        curve.label(kind.name()).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}
