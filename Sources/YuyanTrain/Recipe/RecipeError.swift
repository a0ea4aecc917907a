/// A recipe that cannot be run as it is.
public enum RecipeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No key has this name; `nearest` holds the closest ones.
    case unknownKey(place: String, key: String, nearest: [String])
    /// The key exists, but its value is of another type.
    case wrongType(place: String, key: String, found: String, expected: String)
    /// The value has the right type, but means nothing here.
    case badValue(place: String, key: String, found: String, expected: String)
    /// A key that must be given is not.
    case missing(file: String, key: String, example: String)
    /// The key asks for a method that this build does not have.
    case notBuilt(place: String, key: String, found: String, feature: String)
    /// The file's value is a list or a text, not keys.
    case notAMapping(file: String, found: String)
    /// Two settings exclude each other.
    case conflict(file: String, what: String)
    /// A flag without a value, or a word that is neither key nor value.
    case badArgument(String)

    /// The same error at the place where its key was set, by the key's name.
    func placed(at places: [String: String]) -> RecipeError {
        guard case .badValue(_, let key, let found, let expected) = self, let place = places[key]
        else { return self }
        return .badValue(place: place, key: key, found: found, expected: expected)
    }

    /// Where, what was found, what was expected and what to try.
    public var description: String {
        switch self {
        case .unknownKey(let place, let key, let nearest):
            "\(place): no key '\(key)'"
                + (nearest.isEmpty ? "" : "; nearest: \(nearest.joined(separator: ", "))")
                + "; `yuyan train --help-keys` lists all"
        case .wrongType(let place, let key, let found, let expected),
            .badValue(let place, let key, let found, let expected):
            "\(place): '\(key)' is \(found), expected \(expected)"
        case .missing(let file, let key, let example):
            "\(file): '\(key)' is missing; add a line such as `\(key): \(example)`"
        case .notBuilt(let place, let key, let found, let feature):
            "\(place): '\(key)' is \(found), but \(feature) is not built in; remove the key"
        case .notAMapping(let file, let found):
            "\(file): holds \(found), expected lines of `key: value`"
        case .conflict(let file, let what): "\(file): \(what)"
        case .badArgument(let text): text
        }
    }
}
