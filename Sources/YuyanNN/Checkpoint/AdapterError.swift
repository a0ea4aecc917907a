/// A PEFT adapter that cannot be loaded as asked.
public enum AdapterError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The directory lacks a file that an adapter has.
    case notAnAdapter(directory: String, missing: String, hint: String)
    /// A configuration value is impossible.
    case configuration(file: String, key: String, found: String, expected: String)
    /// A configuration value asks for something that would be computed wrongly.
    case unsupported(file: String, key: String, found: String, expected: String)
    /// A tensor belongs to a module that the model does not have.
    case unknownModule(name: String, file: String, module: String, nearest: [String])
    /// A tensor that nothing would use.
    case unusedTensor(name: String, file: String, reason: String)
    /// A tensor that the configuration or its other half calls for.
    case missingTensor(name: String, file: String, reason: String)
    /// The tensor exists, but with another shape.
    case shape(name: String, file: String, expected: [Int], found: [Int], reason: String)
    /// The tensor exists, but is not stored as floating point of 32 or 16 bits.
    case elementType(name: String, file: String, found: String)
    /// The tensor holds NaN or infinity.
    case notFinite(name: String, file: String, element: Int, found: String)
    /// The matrices would take more memory than there is for them.
    case tooLarge(directory: String, bytes: Int, limit: Int)

    /// Where it is, what was found, what was expected and what to try.
    public var description: String {
        switch self {
        case .notAnAdapter(let directory, let missing, let hint):
            "\(directory): no \(missing); \(hint)"
        case .configuration(let file, let key, let found, let expected):
            "\(file): '\(key)' is \(found), expected \(expected)"
        case .unsupported(let file, let key, let found, let expected):
            "\(file): '\(key)' is \(found), which is not supported; expected \(expected)"
        case .unknownModule(let name, let file, let module, let nearest):
            "\(file): '\(name)' updates '\(module)', which the model does not have"
                + (nearest.isEmpty ? "" : "; nearest: " + nearest.joined(separator: ", "))
                + "; is the adapter for this model?"
        case .unusedTensor(let name, let file, let reason):
            "\(file): '\(name)' would not be used: \(reason)"
        case .missingTensor(let name, let file, let reason):
            "\(file): no tensor '\(name)': \(reason)"
        case .shape(let name, let file, let expected, let found, let reason):
            "\(file): '\(name)' is \(found), expected \(expected): \(reason)"
        case .elementType(let name, let file, let found):
            "\(file): '\(name)' is stored as \(found), expected F32, F16 or BF16"
        case .notFinite(let name, let file, let element, let found):
            "\(file): element \(element) of '\(name)' is \(found), expected finite numbers; "
                + "did training diverge?"
        case .tooLarge(let directory, let bytes, let limit):
            "\(directory): the adapter takes \(bytes) bytes of memory, the limit is \(limit); "
                + "raise the limit, or use an adapter of a lower rank"
        }
    }
}
