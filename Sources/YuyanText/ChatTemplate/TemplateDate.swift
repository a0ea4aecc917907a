#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A moment in local time, for templates that write the date into the prompt.
public struct TemplateDate: Sendable, Hashable {
    /// Full year, such as 2026.
    public var year: Int
    /// Month from 1.
    public var month: Int
    /// Day of the month from 1.
    public var day: Int
    /// Hour from 0 to 23.
    public var hour: Int
    /// Minute from 0 to 59.
    public var minute: Int
    /// Second from 0 to 60.
    public var second: Int

    /// Creates a moment from its parts.
    public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// The present moment in the local time zone.
    public static func now() -> TemplateDate {
        var seconds = time(nil)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return TemplateDate(
            year: Int(parts.tm_year) + 1900, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday),
            hour: Int(parts.tm_hour), minute: Int(parts.tm_min), second: Int(parts.tm_sec))
    }

    static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ]
    static let weekdays = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]

    /// Day of the year from 1.
    private var dayOfYear: Int {
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        return lengths.prefix(max(0, month - 1)).reduce(day, +)
    }

    private var isLeap: Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    /// Day of the week, Sunday 0.
    private var weekday: Int {
        let past = year - 1
        return (365 * past + past / 4 - past / 100 + past / 400 + dayOfYear) % 7
    }

    /// Replaces the `strftime` directives, in the C locale and without a time zone.
    func formatted(_ format: String) -> String {
        var result = ""
        var isDirective = false
        var flag: Unicode.Scalar?
        for scalar in format.unicodeScalars {
            if !isDirective {
                if scalar == "%" {
                    isDirective = true
                    flag = nil
                } else {
                    result.unicodeScalars.append(scalar)
                }
            } else if scalar == "-" || scalar == "_" || scalar == "0" || scalar == "^", flag == nil
            {
                flag = scalar
            } else {
                isDirective = false
                result += directive(scalar, flag: flag)
            }
        }
        if isDirective { result += "%" }
        return result
    }

    private func directive(_ scalar: Unicode.Scalar, flag: Unicode.Scalar?) -> String {
        func padded(_ value: Int, _ width: Int, with filler: Character = "0") -> String {
            let digits = "\(value)"
            let filler = flag == "_" ? " " : flag == "0" ? "0" : filler
            guard flag != "-" else { return digits }
            return String(repeating: filler, count: max(0, width - digits.utf8.count)) + digits
        }
        func cased(_ text: String) -> String { flag == "^" ? text.uppercased() : text }
        let monthName = (1...12).contains(month) ? Self.months[month - 1] : "?"
        let dayName = weekday >= 0 ? Self.weekdays[weekday] : "?"
        let clock = hour % 12 == 0 ? 12 : hour % 12
        switch scalar {
        case "Y": return "\(year)"
        case "y": return padded(year % 100, 2)
        case "C": return padded(year / 100, 2)
        case "m": return padded(month, 2)
        case "d": return padded(day, 2)
        case "e": return padded(day, 2, with: " ")
        case "H": return padded(hour, 2)
        case "I": return padded(clock, 2)
        case "k": return padded(hour, 2, with: " ")
        case "l": return padded(clock, 2, with: " ")
        case "M": return padded(minute, 2)
        case "S": return padded(second, 2)
        case "f": return "000000"
        case "j": return padded(dayOfYear, 3)
        case "p": return hour < 12 ? "AM" : "PM"
        case "P": return hour < 12 ? "am" : "pm"
        case "B": return cased(monthName)
        case "b", "h": return cased(String(monthName.prefix(3)))
        case "A": return cased(dayName)
        case "a": return cased(String(dayName.prefix(3)))
        case "w": return "\(weekday)"
        case "u": return "\(weekday == 0 ? 7 : weekday)"
        case "U": return padded((dayOfYear + 6 - weekday) / 7, 2)
        case "W": return padded((dayOfYear + 6 - (weekday + 6) % 7) / 7, 2)
        case "F": return formatted("%Y-%m-%d")
        case "T", "X": return formatted("%H:%M:%S")
        case "R": return formatted("%H:%M")
        case "r": return formatted("%I:%M:%S %p")
        case "D", "x": return formatted("%m/%d/%y")
        case "c": return formatted("%a %b %e %H:%M:%S %Y")
        case "n": return "\n"
        case "t": return "\t"
        case "Z", "z": return ""
        case "%": return "%"
        default: return "%" + (flag.map { String($0) } ?? "") + String(scalar)
        }
    }
}
