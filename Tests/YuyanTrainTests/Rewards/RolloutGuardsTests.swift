import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Guards of rollouts")
struct RolloutGuardsTests {
    private static func settings(stops: Set<GuardName> = []) -> RolloutGuards.Settings {
        var settings = RolloutGuards.Settings()
        settings.window = 4
        settings.patience = 3
        settings.stops = stops
        return settings
    }

    private static func healthy(_ step: Int) -> RolloutStep {
        var metrics = RolloutStep(step: step)
        metrics.meanLength = 100 + Double(step % 3)
        metrics.repetition = 0.05
        metrics.formatShare = 0.9
        metrics.divergence = 0.01
        metrics.entropy = 1
        metrics.flatGroupShare = 0.3
        metrics.endedShare = 0.95
        return metrics
    }

    @Test("a healthy run is silent")
    func silent() {
        var guards = RolloutGuards(Self.settings(stops: Set(GuardName.allCases)))
        for step in 1...200 { #expect(guards.add(Self.healthy(step)).isEmpty) }
    }

    @Test(
        "each fault alarms once, by name, with value, limit and step, and stops if asked",
        arguments: GuardName.allCases)
    func alarms(name: GuardName) throws {
        func sick(_ step: Int) -> RolloutStep {
            var metrics = Self.healthy(step)
            switch name {
            case .length: metrics.meanLength = 500
            case .repetition: metrics.repetition = 0.8
            case .format: metrics.formatShare = 0.1
            case .entropy: metrics.entropy = 0.01
            case .divergence: metrics.divergence = 9
            case .flatGroups: metrics.flatGroupShare = 1
            case .unended: metrics.endedShare = 0
            }
            return metrics
        }
        var guards = RolloutGuards(Self.settings(stops: [name]))
        var found: [RolloutGuards.Alarm] = []
        for step in 1...10 { found += guards.add(Self.healthy(step)) }
        for step in 11...30 { found += guards.add(sick(step)) }
        #expect(found.map(\.name) == [name, name] && found.map(\.isStop) == [false, true])
        let (first, stop) = (found[0], found[1])
        #expect((11...15).contains(first.step) && stop.step == first.step + 2)
        #expect(first.value != first.limit && "\(first)".contains("step \(first.step)"))
        #expect("\(first)".contains("'\(name.rawValue)'") && "\(stop)".contains("stopping"))
        // Back to health, then sick again: a new alarm.
        for step in 31...50 { found += guards.add(Self.healthy(step)) }
        for step in 51...60 { found += guards.add(sick(step)) }
        #expect(found.count == 4)
    }

    @Test("lengths that shrink alarm too; what is not a number alarms at once")
    func others() {
        var guards = RolloutGuards(Self.settings())
        for step in 1...8 { _ = guards.add(Self.healthy(step)) }
        var short = Self.healthy(9)
        short.meanLength = 1
        var found: [RolloutGuards.Alarm] = []
        for step in 9...14 {
            short.step = step
            found += guards.add(short)
        }
        #expect(found.map(\.name) == [.length] && found[0].value < found[0].limit)
        var broken = Self.healthy(20)
        broken.divergence = .nan
        #expect(guards.add(broken).map(\.name) == [.divergence])
        var empty = RolloutGuards(Self.settings())
        #expect(empty.add(RolloutStep(step: 1)).isEmpty)
    }

    @Test("a run that goes on from its state alarms as the uninterrupted one, step by step")
    func resumes() throws {
        var random = SeededGenerator(seed: 5)
        let steps = (1...300).map { step in
            var metrics = Self.healthy(step)
            metrics.meanLength = .random(in: 20...400, using: &random)
            metrics.repetition = .random(in: 0...0.7, using: &random)
            metrics.formatShare = .random(in: 0...1, using: &random)
            metrics.divergence = .random(in: 0...1.1, using: &random)
            metrics.entropy = .random(in: 0...1, using: &random)
            metrics.endedShare = .random(in: 0...1, using: &random)
            metrics.flatGroupShare = .random(in: 0.4...1, using: &random)
            return metrics
        }
        let settings = Self.settings(stops: [.entropy, .divergence])
        var whole = RolloutGuards(settings)
        var cut = RolloutGuards(settings)
        var count = 0
        for metrics in steps {
            let text = cut.json.description
            let json = try JSONDocument(bytes: Array(text.utf8), name: "state").root
            cut = try RolloutGuards(settings, json: json)
            #expect(cut.json.description == text)
            let expected = whole.add(metrics)
            #expect(cut.add(metrics) == expected)
            count += expected.count
        }
        #expect(whole == cut && count > 20)
        let bad = try JSONDocument(bytes: Array(#"{"kl": {}}"#.utf8), name: "state.json").root
        #expect { try RolloutGuards(settings, json: bad) } throws: {
            "\($0)".contains("state.json")
        }
    }

    @Test("a step's metrics come from its completions")
    func metrics() {
        let completions = [
            ScoredCompletion(prompt: "", text: "", tokens: [1, 2, 3, 4, 5], hasEnded: true),
            ScoredCompletion(
                prompt: "", text: "", tokens: [Int32](repeating: 1, count: 11), hasEnded: false),
        ]
        let step = RolloutStep(step: 3, completions: completions)
        #expect(step.meanLength == 8 && step.endedShare == 0.5)
        #expect(step.repetition == (1 - 1.0 / 8) / 2)
        #expect(RolloutStep.flatGroupShare([1, 1, 0, 1], groupSize: 2) == 0.5)
        #expect(RolloutStep.flatGroupShare([1], groupSize: 2) == nil)
        #expect(RolloutStep.flatGroupShare([1, 2], groupSize: 1) == 1)
        #expect(RolloutStep(step: 1, completions: []).meanLength == nil)
    }
}
