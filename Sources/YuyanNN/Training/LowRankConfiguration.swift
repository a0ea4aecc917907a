/// What a low-rank adapter that is to be trained looks like; PEFT's `LoraConfig`.
public struct LowRankConfiguration: Sendable {
    /// Which projections are updated.
    public enum Targets: Sendable, Hashable {
        /// All but the output head.
        case allLinear
        /// Those whose path is one of these or ends in `.` and one of these.
        case names([String])
        /// Those whose whole path this regular expression matches.
        case pattern(String)
    }

    /// How `A` begins; `B` begins at zero.
    public enum Initialization: String, Sendable, CaseIterable, Codable {
        /// Uniform in `±1 / sqrt(in)`, PEFT's default (`kaiming_uniform_` with `a = sqrt(5)`).
        case kaiming
        /// Normal with deviation `1 / r`.
        case gaussian
    }

    /// Rank r.
    public var rank = 8
    /// The update is multiplied by `alpha / r`.
    public var alpha = 16.0
    /// What is updated.
    public var targets = Targets.allLinear
    /// Taken out of the targets again.
    public var excluded: Targets?
    /// Only these layers; nil for all.
    public var layers: Set<Int>?
    /// Ranks by the end of a path, an expression each; the first that matches counts.
    public var rankPattern: [(key: String, rank: Int)] = []
    /// Alphas by the end of a path, likewise.
    public var alphaPattern: [(key: String, alpha: Double)] = []
    /// `alpha / sqrt(r)` (Kalajdzievski, arXiv:2312.03732).
    public var dividesByRoot = false
    /// Magnitudes beside the matrices: DoRA (Liu et al., arXiv:2402.09353).
    public var hasMagnitudes = false
    /// Probability that an element of the update's input is dropped.
    ///
    /// With magnitudes too only the low-rank branch is dropped out; PEFT drops the base's input as well.
    public var dropout: Float = 0
    /// How `A` begins.
    public var initialization = Initialization.kaiming
    /// Key of the random numbers of `A`.
    public var seed: UInt64 = 0

    /// Rank 8, alpha 16, every projection but the head.
    public init() {}
}
