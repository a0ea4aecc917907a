/// A line chart as SVG, drawn without scripts so that it can be mailed or put into a page.
struct Chart {
    /// One curve.
    struct Series {
        let name: String
        /// A class of the page's style sheet, which gives the colour.
        let style: String
        let points: [(x: Double, y: Double)]
        /// A word for each point, which is then drawn as such; none for a curve alone.
        var labels: [String] = []

        /// Without points that cannot be drawn.
        fileprivate var finite: Series {
            let places = points.indices.filter { points[$0].x.isFinite && points[$0].y.isFinite }
            return Series(
                name: name, style: style, points: places.map { points[$0] },
                labels: labels.isEmpty ? [] : places.map { labels[$0] })
        }
    }

    /// What is counted from left to right.
    enum Horizontal {
        /// Steps, which are whole.
        case steps
        case numbers
    }

    let title: String
    let series: [Series]
    var horizontal = Horizontal.steps

    private static let width = 640.0
    private static let height = 260.0
    private static let left = 64.0
    private static let right = 12.0
    private static let top = 30.0
    private static let bottom = 34.0
    /// Points drawn of a curve: about two a pixel.
    private static let limit = 1200

    /// The picture; nil if there is nothing finite to draw.
    var svg: String? {
        let finite = series.map(\.finite).filter { !$0.points.isEmpty }
        let all = finite.flatMap(\.points)
        guard let firstX = all.map(\.x).min(), let lastX = all.map(\.x).max(),
            let lowest = all.map(\.y).min(), let highest = all.map(\.y).max()
        else { return nil }
        let vertical = Axis(from: lowest, to: highest, ticks: 5)
        let places = Axis(from: firstX, to: lastX, ticks: 8)
        func x(_ value: Double) -> Double {
            let span = max(lastX - firstX, 1e-12)
            return Self.left + (value - firstX) / span * (Self.width - Self.left - Self.right)
        }
        func y(_ value: Double) -> Double {
            let share = (value - vertical.low) / (vertical.high - vertical.low)
            return Self.height - Self.bottom - share * (Self.height - Self.top - Self.bottom)
        }
        var svg =
            "<svg viewBox=\"0 0 \(Self.width.svg) \(Self.height.svg)\" role=\"img\" "
            + "aria-label=\"\(title.escaped)\">\n"
            + "<text class=\"title\" x=\"\(Self.left.svg)\" y=\"18\">\(title.escaped)</text>\n"
        for tick in vertical.ticks {
            svg +=
                "<path class=\"grid\" d=\"M\(Self.left.svg) \(y(tick).svg)H\((Self.width - Self.right).svg)\"/>"
                + "<text class=\"tick end\" x=\"\((Self.left - 6).svg)\" y=\"\((y(tick) + 4).svg)\">"
                + "\(tick.shortText)</text>\n"
        }
        for tick in places.ticks
        where tick >= firstX && tick <= lastX && (horizontal == .numbers || tick == tick.rounded())
        {
            svg +=
                "<text class=\"tick middle\" x=\"\(x(tick).svg)\" "
                + "y=\"\((Self.height - 12).svg)\">\(tick.shortText)</text>\n"
        }
        for series in finite {
            let points = series.labels.isEmpty ? Self.thinned(series.points) : series.points
            for (point, label) in zip(points, series.labels) {
                svg +=
                    "<circle class=\"\(series.style)\" cx=\"\(x(point.x).svg)\" "
                    + "cy=\"\(y(point.y).svg)\" r=\"3\"/>"
                    + "<text class=\"tick middle\" x=\"\(x(point.x).svg)\" "
                    + "y=\"\((y(point.y) - 7).svg)\">\(label.escaped)</text>\n"
            }
            if points.count == 1, !series.labels.isEmpty { continue }
            if points.count == 1 {
                svg +=
                    "<circle class=\"\(series.style)\" cx=\"\(x(points[0].x).svg)\" "
                    + "cy=\"\(y(points[0].y).svg)\" r=\"3\"/>\n"
            } else {
                let line = points.map { "\(x($0.x).svg),\(y($0.y).svg)" }.joined(separator: " ")
                svg += "<polyline class=\"\(series.style)\" points=\"\(line)\"/>\n"
            }
        }
        var place = Self.width - Self.right
        for series in finite.reversed() where finite.count > 1 {
            svg +=
                "<text class=\"legend end \(series.style)\" x=\"\(place.svg)\" y=\"18\">"
                + "\(series.name.escaped)</text>\n"
            place -=
                16 + 7 * Double(series.name.unicodeScalars.reduce(0) { $0 + ($1.isASCII ? 1 : 2) })
        }
        return svg + "</svg>"
    }

    /// At most so many points; of each stretch the lowest and the highest, so that peaks stay.
    private static func thinned(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
        guard points.count > limit else { return points }
        let stretch = (points.count * 2 + limit - 1) / limit
        var result: [(x: Double, y: Double)] = []
        for start in stride(from: 0, to: points.count, by: stretch) {
            let part = points[start..<min(start + stretch, points.count)]
            guard let low = part.min(by: { $0.y < $1.y }), let high = part.max(by: { $0.y < $1.y })
            else { continue }
            result += low.x <= high.x ? [low, high] : [high, low]
        }
        return result
    }
}

/// Round numbers along an axis: steps of 1, 2 or 5 times a power of ten.
struct Axis {
    let low: Double
    let high: Double
    let ticks: [Double]

    init(from lowest: Double, to highest: Double, ticks count: Int) {
        var (low, high) = (lowest, highest)
        if high - low < max(abs(high), 1e-30) * 1e-9 {
            let room = max(abs(high) * 0.1, 1e-9)
            (low, high) = (low - room, high + room)
        }
        let raw = (high - low) / Double(max(1, count))
        var power = 1.0
        while power > raw { power /= 10 }
        while power * 10 <= raw { power *= 10 }
        let step = [1.0, 2, 5, 10].map { $0 * power }.first { $0 >= raw } ?? raw
        self.low = (low / step).rounded(.down) * step
        self.high = (high / step).rounded(.up) * step
        let first = Int((low / step).rounded(.down))
        let last = Int((high / step).rounded(.up))
        ticks = (first...max(first, last)).map { Double($0) * step }
    }
}

extension Double {
    /// With one decimal, as coordinates need it.
    var svg: String {
        let tenths = Int((self * 10).rounded())
        let rest = abs(tenths % 10)
        let sign = tenths < 0 && tenths / 10 == 0 ? "-" : ""
        return rest == 0 ? "\(tenths / 10)" : "\(sign)\(tenths / 10).\(rest)"
    }

    /// With at most four significant digits: `0.0002`, `1.25`, `12000`, `2e-06`.
    var shortText: String {
        guard self != 0, isFinite else { return self == 0 ? "0" : "\(self)" }
        var power = 0
        var magnitude = abs(self)
        while magnitude >= 10 {
            magnitude /= 10
            power += 1
        }
        while magnitude < 1 {
            magnitude *= 10
            power -= 1
        }
        let digits = Int((magnitude * 1000).rounded())
        if power > 8 || power < -4 {
            return (self < 0 ? "-" : "") + Self.decimal(digits, places: 3)
                + "e\(power < 0 ? "-" : "+")\(abs(power) < 10 ? "0" : "")\(abs(power))"
        }
        let places = 3 - power
        if places <= 0 { return "\(Int(rounded()))" }
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        return (self < 0 ? "-" : "")
            + Self.decimal(Int((abs(self) * scale).rounded()), places: places)
    }

    private static func decimal(_ digits: Int, places: Int) -> String {
        var text = String(digits)
        while text.count <= places { text = "0" + text }
        var result = String(text.dropLast(places)) + "." + text.suffix(places)
        while result.hasSuffix("0") { result.removeLast() }
        if result.hasSuffix(".") { result.removeLast() }
        return result
    }
}

extension String {
    /// For text and attributes of HTML.
    var escaped: String {
        var result = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
