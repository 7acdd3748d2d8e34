//! The plots: ratios to the floor, side by side and as readers grow.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{Pick, Report, Section};
use crate::{Kind, Outcome};

const SIZE: (u32, u32) = (900, 640);
/// A long ratio is cut off, so that the others can be told apart; its number stands beside it.
const RATIO_MAX: f64 = 6.5;
const AXIS_MAX: f64 = 7.0;
/// Above the curves there is room for their names.
const GROWTH_MAX: f64 = 4.0;

/// The curves of [`growth`]: a colour for each, ours thick.
const CURVES: [(Kind, RGBColor); 9] = [
    (Kind::OursWs, RGBColor(20, 60, 200)),
    (Kind::AxumWs4k, RGBColor(90, 140, 230)),
    (Kind::FastWs, RGBColor(0, 140, 160)),
    (Kind::TokioWs, RGBColor(110, 90, 170)),
    (Kind::SocketIo, RGBColor(110, 110, 110)),
    (Kind::OursSse, RGBColor(190, 30, 30)),
    (Kind::AxumSse, RGBColor(230, 110, 60)),
    (Kind::AxumSharedSse, RGBColor(180, 120, 0)),
    (Kind::HyperSse, RGBColor(110, 70, 40)),
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
        .margin_right(20)
        .x_label_area_size(45)
        .y_label_area_size(150)
        .build_cartesian_2d(0.0..AXIS_MAX, (0..rows).into_segmented())?;
    let name = |row: &SegmentValue<i32>| {
        let SegmentValue::CenterOf(row) = row else { return String::new() };
        let bar = usize::try_from(rows - 1 - row).ok().and_then(|at| bars.get(at));
        bar.map_or(String::new(), |(kind, _)| kind.name().to_owned())
    };
    let mut mesh = chart.configure_mesh();
    mesh.disable_y_mesh().y_labels(bars.len() + 1).y_label_formatter(&name);
    mesh.x_desc("CPU of the server, times that of the loop").x_max_light_lines(1).draw()?;
    let row = |at: usize| rows - 1 - at as i32;
    chart.draw_series(bars.iter().enumerate().map(|(at, (kind, ratio))| {
        let colour = if kind.is_ours() { BLUE.mix(0.8) } else { BLACK.mix(0.3) };
        let (from, to) = (SegmentValue::Exact(row(at)), SegmentValue::Exact(row(at) + 1));
        let mut bar = Rectangle::new([(0.0, from), (ratio.min(RATIO_MAX), to)], colour.filled());
        bar.set_margin(2, 2, 0, 0);
        bar
    }))?;
    chart.draw_series(bars.iter().enumerate().map(|(at, (_, ratio))| {
        let place = (ratio.min(RATIO_MAX) + 0.05, SegmentValue::CenterOf(row(at)));
        let style = ("sans-serif", 12).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        Text::new(format!("{ratio:.2}"), place, style)
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
        .margin_right(40)
        .x_label_area_size(45)
        .y_label_area_size(55)
        .build_cartesian_2d((100.0..10_000.0).log_scale(), 0.0..GROWTH_MAX)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("readers").x_label_formatter(&|readers: &f64| format!("{readers:.0}"));
    mesh.y_desc("CPU of the server, times that of the loop").y_max_light_lines(1).draw()?;
    for (kind, colour) in CURVES {
        let points = [100, 1_000, 10_000]
            .into_iter()
            .filter_map(|readers| Some((readers as f64, report.of(readers)?.to_floor(kind, Pick::One)?)));
        let line = colour.stroke_width(if kind.is_ours() { 4 } else { 2 });
        let curve = chart.draw_series(LineSeries::new(points, line))?;
        curve.label(kind.name()).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], line));
    }
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperLeft).margin(10);
    labels.background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Figures;
    use crate::{Machine, whole};

    #[test]
    fn every_kind_has_its_name_and_its_number_in_the_bars_and_every_curve_its_name() {
        let mut report = Report::new(Machine::here());
        for setting in whole(None) {
            let figures = |at: usize| Figures {
                one_ns: 1.0 + at as f64 * 0.25 + setting.plan.readers as f64 / 20_000.0,
                burst_ns: [None; 2],
                latency_us: [None; 2],
                idle_bytes: 0.0,
            };
            let round = setting.kinds.iter().enumerate().map(|(at, kind)| (*kind, figures(at))).collect();
            report.section(setting.plan, vec![round]);
        }
        let place = std::env::temp_dir().join(format!("realtime-plots-{}", std::process::id()));
        report.plot(&place).unwrap();
        let [bars, curves] =
            ["ratios.svg", "growth.svg"].map(|it| std::fs::read_to_string(place.join(it)).unwrap());
        std::fs::remove_dir_all(&place).unwrap();
        for kind in Kind::ALL {
            assert!(bars.contains(&format!("{}\n", kind.name())), "{kind} has no name");
            let ratio = report.of(1_000).and_then(|section| section.to_floor(kind, Pick::One)).unwrap();
            assert!(bars.contains(&format!("{ratio:.2}\n")), "{kind} has no number");
        }
        for (kind, _) in CURVES {
            assert!(curves.contains(&format!("{}\n", kind.name())), "{kind} has no name");
        }
    }
}
