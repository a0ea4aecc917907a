/// An optimiser or schedule that cannot be made, or a saved state that does not fit.
public enum OptimizerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No optimiser has this name.
    case unknownOptimizer(name: String, nearest: [String])
    /// No schedule has this name.
    case unknownSchedule(name: String, nearest: [String])
    /// A setting is outside of what the method allows.
    case badSetting(name: String, found: String, expected: String)
    /// The file has no array of this name.
    case missingState(file: String, name: String, nearest: [String])
    /// The file holds arrays that no parameter or rule asks for.
    case unexpectedState(file: String, names: [String])
    /// The array exists, but with another type or length.
    case stateShape(file: String, name: String, found: String, expected: String)

    /// Where, what was found, what was expected and what to try.
    public var description: String {
        switch self {
        case .unknownOptimizer(let name, let nearest):
            "optim: no optimiser '\(name)'\(Self.hint(nearest)); there are: "
                + optimizerNames.joined(separator: ", ")
        case .unknownSchedule(let name, let nearest):
            "lr_scheduler_type: no schedule '\(name)'\(Self.hint(nearest)); there are: "
                + scheduleNames.joined(separator: ", ")
        case .badSetting(let name, let found, let expected):
            "\(name) is \(found), expected \(expected)"
        case .missingState(let file, let name, let nearest):
            "\(file): no array '\(name)'\(Self.hint(nearest)); was it saved with another "
                + "optimiser, or with other trainable parameters?"
        case .unexpectedState(let file, let names):
            "\(file): \(names.count) arrays belong to nothing that is trained, the first "
                + "'\(names.first ?? "")'; was it saved with another optimiser, or with other "
                + "trainable parameters?"
        case .stateShape(let file, let name, let found, let expected):
            "\(file): '\(name)' is \(found), expected \(expected); was it saved with another "
                + "optimiser, or from another model?"
        }
    }

    private static func hint(_ nearest: [String]) -> String {
        nearest.isEmpty ? "" : "; nearest: \(nearest.joined(separator: ", "))"
    }
}
