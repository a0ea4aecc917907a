import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@testable import YuyanTensor

@Suite("Counter-based random numbers")
struct CounterRandomTests {
    @Test("give the published known answers")
    func knownAnswers() {
        #expect(
            philox4x32(counter: .init(repeating: 0), key: .init(repeating: 0))
                == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8])
        #expect(
            philox4x32(counter: .init(repeating: .max), key: .init(repeating: .max))
                == [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD])
        #expect(
            philox4x32(
                counter: [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344],
                key: [0xA409_3822, 0x299F_31D0])
                == [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1])
    }

    @Test("agree with a plain transcription of the paper at any seed, stream and position")
    func agree() throws {
        let stream = try #require(fopen(Goldens.path("sampling/random.txt"), "r"))
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var byte = getc(stream)
        while byte != EOF {
            bytes.append(UInt8(byte))
            byte = getc(stream)
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 400)
        for line in lines {
            let fields = line.split(separator: " ")
            let numbers = try fields[..<3].map { try #require(UInt64($0)) }
            let words = try fields[3..<7].map { try #require(UInt32($0, radix: 16)) }
            let normal = try #require(Double(fields[7]))
            let random = CounterRandom(seed: numbers[0])
            let (s, p) = (numbers[1], numbers[2])
            #expect(random.block(stream: s, position: p) == SIMD4(words))
            #expect(random.word32(stream: s, position: p) == words[0])
            let long = UInt64(words[1]) << 32 | UInt64(words[0])
            #expect(random.word64(stream: s, position: p) == long)
            #expect(random.uniform(stream: s, position: p) == Float(words[0] >> 8) / 16_777_216)
            #expect(
                random.uniformDouble(stream: s, position: p)
                    == Double(long >> 11) / 9_007_199_254_740_992)
            let found = random.normal(stream: s, position: p)
            #expect(abs(Double(found) - normal) <= Double(Float(normal).ulp))
        }
    }

    @Test("fill [0, 1) and the normal distribution evenly")
    func moments() {
        let random = CounterRandom(seed: 5)
        let count = 100_000
        var cells = [Int](repeating: 0, count: 100)
        var (sum, squares, fourths) = (0.0, 0.0, 0.0)
        for position in 0..<UInt64(count) {
            let uniform = random.uniform(position: position)
            #expect(uniform >= 0 && uniform < 1)
            cells[Int(uniform * 100)] += 1
            let normal = Double(random.normal(stream: 1, position: position))
            sum += normal
            squares += normal * normal
            fourths += normal * normal * normal * normal
        }
        let statistic = cells.reduce(0.0) { $0 + (Double($1) - 1000) * (Double($1) - 1000) / 1000 }
        #expect(statistic > 50 && statistic < 160)
        // Four standard errors of the mean, the variance and the fourth moment.
        #expect(abs(sum / Double(count)) < 4 / 316)
        #expect(abs(squares / Double(count) - 1) < 4 * 1.4143 / 316)
        #expect(abs(fourths / Double(count) - 3) < 4 * 9.8 / 316)
    }

    @Test("the logarithm is within two ulp of the C library")
    func logarithm() {
        let random = CounterRandom(seed: 6)
        for position in 0..<50_000 as Range<UInt64> {
            let bits = random.word64(position: position) & 0x7FFF_FFFF_FFFF_FFFF
            let wide = Double(bitPattern: bits)
            let near = 0.5 + random.uniformDouble(position: position)
            for x in [wide, near] where x > 0 && x < .infinity {
                let exact = log(x)
                #expect(abs(deterministicLog(x) - exact) <= 2 * exact.ulp, "\(x)")
            }
        }
        #expect(deterministicLog(1) == 0)
        #expect(deterministicLog(.leastNonzeroMagnitude) == log(.leastNonzeroMagnitude))
    }

    @Test("the cosine is within 1e-15 of the C library on the whole circle")
    func cosine() {
        let random = CounterRandom(seed: 7)
        for position in 0..<50_000 as Range<UInt64> {
            let turns = random.uniformDouble(position: position)
            #expect(abs(cosineOfTurns(turns) - cos(2 * .pi * turns)) <= 1e-15, "\(turns)")
        }
        #expect(cosineOfTurns(0) == 1)
        #expect(cosineOfTurns(0.5) == -1)
        #expect(cosineOfTurns(0.25) == 0)
    }

    @Test("the logarithm traps on zero")
    func trap() async {
        await #expect(processExitsWith: .failure) { _ = deterministicLog(0) }
    }
}
