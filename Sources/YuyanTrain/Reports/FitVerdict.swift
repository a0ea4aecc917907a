/// What training and validation loss together say about over-fitting.
public enum FitVerdict: Sendable, Hashable, CustomStringConvertible {
    /// No evaluations.
    case unknown
    /// Evaluations, and no steps.
    case untrained
    /// Validation was best at the end.
    case improving(gap: Double)
    /// Validation got worse since its best by this share, while the training loss fell.
    case overfitting(since: Int, worse: Double, gap: Double)
    /// Validation stopped to improve, but has not got worse by more than two in a hundred.
    case level(since: Int, gap: Double)

    /// Of runs that learn from rewards: the first and the last evaluation's mean reward.
    case rewarded(first: Double, last: Double)

    /// - Parameters:
    ///   - training: Step and loss of each logged step.
    ///   - validation: Step and loss of each evaluation.
    public init(training: [(step: Int, loss: Double)], validation: [(step: Int, loss: Double)]) {
        guard let last = validation.last, let best = validation.min(by: { $0.loss < $1.loss })
        else {
            self = .unknown
            return
        }
        // The mean of the last tenth: single steps differ by their samples.
        let tail = training.suffix(max(1, training.count / 10)).map(\.loss)
        let gap = tail.isEmpty ? .nan : last.loss - tail.reduce(0, +) / Double(tail.count)
        let worse = last.loss / best.loss - 1
        if best.step == last.step {
            self = .improving(gap: gap)
        } else if worse > 0.02 {
            self = .overfitting(since: best.step, worse: worse, gap: gap)
        } else {
            self = .level(since: best.step, gap: gap)
        }
    }

    private static func english(_ gap: Double) -> String {
        "\(gap.magnitude.shortText) \(gap < 0 ? "below" : "above") training loss"
    }

    private static func chinese(_ gap: Double) -> String {
        "比训练损失\(gap < 0 ? "低" : "高") \(gap.magnitude.shortText)"
    }

    /// One sentence in English.
    public var description: String { text.english }

    /// The sentence in two languages.
    var text: (english: String, chinese: String) {
        switch self {
        case .unknown:
            (
                "Not judged: there is no validation set; set val_size or eval_dataset.",
                "无法判断：没有验证集；请设置 val_size 或 eval_dataset。"
            )
        case .untrained: ("Not judged: nothing was trained.", "无法判断：没有训练。")
        case .rewarded(let first, let last):
            (
                "The mean reward of the validation set went from \(first.shortText) to "
                    + "\(last.shortText).",
                "验证集的平均奖励从 \(first.shortText) 变为 \(last.shortText)。"
            )
        case .improving(let gap):
            (
                "No over-fitting seen: validation loss was lowest at the end "
                    + "(\(Self.english(gap))).",
                "未见过拟合：验证损失在结束时最低（\(Self.chinese(gap))）。"
            )
        case .overfitting(let step, let worse, let gap):
            (
                "Over-fitting since step \(step): validation loss rose by "
                    + "\((worse * 100).shortText) % from its best, \(Self.english(gap)); "
                    + "train shorter, or use load_best_model_at_end.",
                "自第 \(step) 步起过拟合：验证损失比最低时高 \((worse * 100).shortText)%，"
                    + "\(Self.chinese(gap))；请缩短训练或使用 load_best_model_at_end。"
            )
        case .level(let step, let gap):
            (
                "Validation has not improved since step \(step) "
                    + "(\(Self.english(gap))).",
                "验证损失自第 \(step) 步起未再下降（\(Self.chinese(gap))）。"
            )
        }
    }
}
