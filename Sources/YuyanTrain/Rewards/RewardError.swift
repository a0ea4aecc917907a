/// A reward that is no use, or functions that do not go together.
package enum RewardError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A function gave a row no usable score.
    case badReward(function: String, row: String, what: String)
    /// A function failed for a whole batch.
    case failed(function: String, rows: String, what: String)
    /// No function applies to a row.
    case noReward(row: String, functions: [String])
    /// There are not as many weights as functions.
    case weightCount(weights: Int, functions: Int)
    /// A weight is not finite.
    case weight(function: String, value: Double)
    /// Two functions have one name.
    case sameName(String)
    /// There is no function.
    case noFunctions

    package var description: String {
        switch self {
        case .badReward(let function, let row, let what):
            "reward '\(function)', \(row): \(what); mend the function or the row, or set "
                + "reward_faults: skip"
        case .failed(let function, let rows, let what):
            "reward '\(function)', \(rows): \(what)"
        case .noReward(let row, let functions):
            "\(row): none of the rewards \(functions.joined(separator: ", ")) applies to it; does "
                + "the row have the columns that they read?"
        case .weightCount(let weights, let functions):
            "reward_weights has \(weights) numbers for \(functions) reward_funcs; give one for each"
        case .weight(let function, let value):
            "the weight of reward '\(function)' is \(value), expected a finite number"
        case .sameName(let name):
            "two reward_funcs are called '\(name)'; give one of them another `label`"
        case .noFunctions: "reward_funcs is empty; name at least one, such as arithmetic"
        }
    }
}
