import Synchronization
import YuyanFormats
import YuyanTrain

/// What `eval` prints of one file.
struct EvalReport {
    let data: String
    let rows: Int
    let result: EvaluationResult
    let time: Duration

    private var seconds: Double { time / .seconds(1) }

    var json: JSONOutput {
        [
            "data": .string(data),
            "kind": .string(result.kind.rawValue),
            "rows": .integer(rows),
            "truncated_rows": .integer(result.truncatedRows),
            "tokens": .integer(result.tokens),
            "seconds": .double(seconds),
            "metrics": .object(
                result.metrics.map { metric in
                    (
                        metric.name,
                        [
                            "value": .double(metric.value),
                            "stderr": .double(metric.error),
                            "ci95": [
                                .double(metric.interval.lowerBound),
                                .double(metric.interval.upperBound),
                            ],
                        ]
                    )
                }),
        ]
    }

    var text: String {
        var table = Table()
        for metric in result.metrics {
            table.add(
                metric.name, metric.value.formatted(digits: 4),
                "± " + metric.error.formatted(digits: 4),
                "[\(metric.interval.lowerBound.formatted(digits: 4)), "
                    + "\(metric.interval.upperBound.formatted(digits: 4))]")
        }
        var head =
            "\(data.printable): \(result.kind.rawValue), \(rows.grouped) rows, "
            + "\(result.tokens.grouped) tokens, \(seconds.formatted(digits: 1)) s"
        if result.truncatedRows > 0 {
            head += "; \(result.truncatedRows) rows lost tokens at their front to fit the model"
        }
        return head + "\n" + table.text
    }
}

/// Carries progress and result of an evaluation out of its task.
final class EvalOutcome: Sendable {
    private let progress: Mutex<Progress>
    private let stored = Mutex<EvaluationResult?>(nil)

    init(total: Int) {
        progress = Mutex(Progress(total: total, unit: "rows", rateName: "rows/s"))
    }

    func update(_ done: Int) { progress.withLock { $0.update(done) } }

    func set(_ result: EvaluationResult) { stored.withLock { $0 = result } }

    var result: EvaluationResult? { stored.withLock { $0 } }
}
