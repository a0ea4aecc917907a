import TestSupport
import Testing
import YuyanTensor

@testable import YuyanEngine

/// Plays the engine for a scheduler: a pool whose slots remember which prefix was written there.
private struct SchedulerGame {
    /// What a request wants, and what came of each of its samples.
    struct Request {
        let first: Int
        let prompt: [Int32]
        let samples: Int
        let length: Int
        let tag: CacheTag
    }

    var scheduler: Scheduler
    var random: SeededGenerator
    var requests: [Int: Request] = [:]
    var finished: [Int: [Int32]] = [:]
    /// The prefix, as a hash of tag and tokens, that each slot of each block was computed from.
    private var memory: [Int32: [Int]] = [:]
    private var nextSequence = 0
    private var nextRequest = 0
    private(set) var sawPreemption = false
    private(set) var sawCopy = false

    init(seed: UInt64, blocks: Int, configuration: EngineConfiguration) {
        scheduler = Scheduler(configuration: configuration, blockCount: blocks)
        random = SeededGenerator(seed: seed)
    }

    /// The token that "the model" gives after these; the sample decides too.
    static func next(_ tokens: [Int32], sample: Int) -> Int32 {
        var hash: UInt64 = 14_695_981_039_346_656_037 &+ UInt64(sample)
        for token in tokens {
            hash = (hash ^ UInt64(UInt32(bitPattern: token))) &* 1_099_511_628_211
        }
        return Int32(hash >> 40 & 3)
    }

    static func answer(_ prompt: [Int32], sample: Int, length: Int) -> [Int32] {
        var tokens = prompt
        for _ in 0..<length { tokens.append(next(tokens, sample: sample)) }
        return tokens
    }

    /// For each position a number that stands for the tag and all tokens up to there.
    private func prefixes(_ tag: CacheTag, _ tokens: [Int32]) -> [Int] {
        var hash = tag.hashValue
        return tokens.map { token in
            hash = (hash ^ Int(token)) &* 1_099_511_628_211
            return hash
        }
    }

    mutating func arrive(maxTokens: Int) {
        let promptCount = Int.random(in: 1...maxTokens / 2, using: &random)
        // Few different beginnings, so that prefixes are often shared.
        let start = Int32.random(in: 0..<3, using: &random)
        let prompt = (0..<promptCount).map { index in
            index < 70 ? start : Int32.random(in: 0..<2, using: &random)
        }
        let samples = Int.random(in: 0..<4, using: &random) == 0 ? 3 : 1
        let length = Int.random(in: 1...maxTokens - promptCount, using: &random)
        let tag = CacheTag(adapter: UInt64.random(in: 0..<2, using: &random))
        requests[nextRequest] = Request(
            first: nextSequence, prompt: prompt, samples: samples, length: length, tag: tag)
        scheduler.enqueue(
            ScheduledSequence(
                id: nextSequence, request: nextRequest, sample: 0, promptCount: promptCount,
                tokens: prompt, priority: Int.random(in: 0..<3, using: &random),
                client: ["a", "b", "c"].randomElement(using: &random) ?? "", arrival: nextRequest,
                tag: tag, sharesPrefixes: Bool.random(using: &random), sampleCount: samples,
                wantsAllRows: Int.random(in: 0..<8, using: &random) == 0, endsWithPrompt: false))
        nextSequence += samples
        nextRequest += 1
    }

    mutating func cancel() {
        guard let id = requests.keys.randomElement(using: &random), let request = requests[id]
        else {
            return
        }
        requests[id] = nil
        for sample in 0..<request.samples { scheduler.remove(request.first + sample) }
    }

    /// One step: plan, check, "compute", choose.
    mutating func step() -> Bool {
        let before = scheduler
        var drafts: [Int: [Int32]] = [:]
        for (id, sequence) in before.sequences where Bool.random(using: &random) {
            var tokens = sequence.tokens
            for _ in 0..<Int.random(in: 0...5, using: &random) {
                let wrong = Int.random(in: 0..<4, using: &random) == 0
                tokens.append(wrong ? 7 : Self.next(tokens, sample: sequence.sample))
            }
            drafts[id] = Array(tokens[sequence.tokens.count...])
        }
        let paused = Set(requests.keys.filter { _ in Int.random(in: 0..<10, using: &random) == 0 })
        let plan = scheduler.plan(drafts: drafts, paused: paused)
        sawPreemption = sawPreemption || !plan.preempted.isEmpty
        sawCopy = sawCopy || !plan.copies.isEmpty
        for copy in plan.copies { memory[copy.destination] = memory[copy.source] }
        let resting = before.running.filter { id in
            guard let sequence = before.sequences[id] else { return false }
            return sequence.isDecoding && paused.contains(sequence.request)
        }
        // One that was preempted meanwhile may be computed again, up to where it was.
        let moved = Set(plan.items.map(\.sequence)).subtracting(plan.preempted)
        #expect(moved.isDisjoint(with: resting))
        check(plan)
        for item in plan.items { compute(item) }
        for item in plan.items { choose(item) }
        checkPool()
        return !plan.isEmpty
    }

    private func check(_ plan: StepPlan) {
        var written: Set<Int32> = []
        for item in plan.items {
            guard let sequence = scheduler.sequences[item.sequence] else {
                Issue.record("an item of a sequence that is not there")
                continue
            }
            #expect(sequence.computed == item.firstPosition)
            let end = item.firstPosition + item.tokens.count
            #expect(item.blocks == sequence.blocks)
            #expect(item.blocks.count * scheduler.blockTokens >= end)
            for index in item.firstPosition / scheduler.blockTokens...(end - 1)
                / scheduler.blockTokens
            {
                let block = item.blocks[index]
                #expect(scheduler.allocator.referenceCount(of: block) == 1, "writes a shared block")
                #expect(written.insert(block).inserted, "two items write block \(block)")
            }
        }
        let prefill = plan.items.filter { $0.tokens.count - $0.draftCount > 1 }
        let decodes = plan.items.count - prefill.count
        let tokens = prefill.reduce(0) { $0 + $1.tokens.count }
        let limit =
            decodes > 0
            ? scheduler.configuration.prefillBesideDecode : scheduler.configuration.batchTokens
        #expect(tokens <= max(limit, scheduler.configuration.batchTokens - decodes))
        #expect(scheduler.running.count <= scheduler.configuration.maxSequences)
    }

    private mutating func compute(_ item: StepPlan.Item) {
        guard let sequence = scheduler.sequences[item.sequence] else { return }
        let size = scheduler.blockTokens
        let known = item.tokens.count - item.draftCount
        let tokens =
            Array(sequence.tokens[..<(item.firstPosition + known)]) + item.tokens[known...]
        #expect(Array(tokens[item.firstPosition...]) == item.tokens)
        let prefixes = prefixes(sequence.tag, tokens)
        let stale = (0..<item.firstPosition).first {
            memory[item.blocks[$0 / size]]?[$0 % size] != prefixes[$0]
        }
        #expect(stale == nil, "sequence \(item.sequence) finds another prefix")
        for position in item.firstPosition..<item.firstPosition + item.tokens.count {
            memory[item.blocks[position / size], default: Array(repeating: 0, count: size)][
                position % size] = prefixes[position]
        }
    }

    private mutating func choose(_ item: StepPlan.Item) {
        guard let sequence = scheduler.sequences[item.sequence],
            let request = requests[item.request]
        else { return }
        guard item.reachesEnd else {
            scheduler.complete(item, chosen: [])
            return
        }
        let goal = request.prompt.count + request.length
        var tokens = sequence.tokens
        let known = item.tokens.count - item.draftCount
        for row in 0...item.draftCount where tokens.count < goal {
            tokens.append(Self.next(tokens, sample: sequence.sample))
            guard row < item.draftCount, item.tokens[known + row] == tokens.last else { break }
        }
        let isPromptEnd = sequence.tokens.count == request.prompt.count
        scheduler.complete(item, chosen: Array(tokens[sequence.tokens.count...]))
        if isPromptEnd {
            for sample in 1..<max(request.samples, 1) {
                let first = Self.next(request.prompt, sample: sample)
                if request.length == 1 {
                    finished[request.first + sample] = request.prompt + [first]
                } else {
                    scheduler.fork(
                        item.sequence, as: request.first + sample, sample: sample, firstToken: first
                    )
                }
            }
        }
        if tokens.count >= goal {
            finished[item.sequence] = tokens
            scheduler.remove(item.sequence)
        }
    }

    /// Every block has as many users as sequences list it, and none is lost.
    func checkPool() {
        var users: [Int32: Int] = [:]
        for sequence in scheduler.sequences.values {
            #expect(Set(sequence.blocks).count == sequence.blocks.count)
            for block in sequence.blocks { users[block, default: 0] += 1 }
        }
        let allocator = scheduler.allocator
        let lost = (0..<Int32(allocator.capacity)).first {
            allocator.referenceCount(of: $0) != users[$0] ?? 0
        }
        #expect(lost == nil)
        #expect(allocator.usedCount == users.count)
        #expect(allocator.availableCount == allocator.capacity - users.count)
        let places = scheduler.running + scheduler.waiting
        #expect(Set(places) == Set(scheduler.sequences.keys) && places.count == Set(places).count)
    }
}

@Suite("Scheduler")
struct SchedulerTests {
    @Test(
        "keeps every prefix where its readers look, over random histories", arguments: 0..<24)
    func histories(_ seed: Int) {
        var configuration = EngineConfiguration()
        configuration.maxSequences = [3, 8, 16][seed % 3]
        configuration.batchTokens = [16, 64, 300][seed / 3 % 3]
        configuration.prefillBesideDecode = [8, 32][seed % 2]
        let blocks = [8, 12, 40][seed / 2 % 3]
        let maxTokens = min(blocks * KeyValueLayout.blockTokens, 260)
        var game = SchedulerGame(
            seed: UInt64(seed), blocks: blocks, configuration: configuration)
        for _ in 0..<150 {
            if Int.random(in: 0..<4, using: &game.random) == 0 {
                game.arrive(maxTokens: maxTokens)
            }
            if Int.random(in: 0..<25, using: &game.random) == 0 { game.cancel() }
            _ = game.step()
        }
        var steps = 0
        while !game.scheduler.sequences.isEmpty, steps < 20_000 {
            _ = game.step()
            steps += 1
        }
        #expect(game.scheduler.sequences.isEmpty, "\(game.scheduler.sequences.count) are left")
        #expect(game.scheduler.allocator.usedCount == 0)
        for request in game.requests.values {
            for sample in 0..<request.samples {
                #expect(
                    game.finished[request.first + sample]
                        == SchedulerGame.answer(
                            request.prompt, sample: sample, length: request.length))
            }
        }
        #expect(game.sawPreemption || blocks > 12)
    }

    @Test("computes a prefix that several wait for once")
    func inFlight() {
        var configuration = EngineConfiguration()
        configuration.maxSequences = 8
        configuration.batchTokens = 64
        var scheduler = Scheduler(configuration: configuration, blockCount: 64)
        let shared = (0..<160).map { Int32($0) }
        for id in 0..<4 {
            scheduler.enqueue(sequence(id, shared + [Int32(1000 + id)]))
        }
        var computed = 0
        for _ in 0..<20 {
            let plan = scheduler.plan()
            computed += plan.items.reduce(0) { $0 + min($1.tokens.count, 161 - $1.firstPosition) }
            for item in plan.items {
                scheduler.complete(item, chosen: item.reachesEnd ? [5] : [])
            }
            if (0..<4).allSatisfy({ (scheduler.sequences[$0]?.tokens.count ?? 0) > 161 }) { break }
        }
        #expect((0..<4).allSatisfy { (scheduler.sequences[$0]?.tokens.count ?? 0) > 161 })
        // The first computes all 161 tokens, the others only what no full block holds.
        #expect(computed == 161 + 3)
        #expect(scheduler.counters.prefixHits == 3 * 160)
    }

    /// Computes a plan as an engine would; what is done leaves.
    private func run(_ plan: StepPlan, on scheduler: inout Scheduler, length: Int) {
        for item in plan.items {
            scheduler.complete(item, chosen: item.reachesEnd ? [Int32(item.sequence)] : [])
            guard let sequence = scheduler.sequences[item.sequence],
                sequence.tokens.count >= length
            else { continue }
            scheduler.remove(item.sequence)
        }
    }

    @Test("keeps a full pool full: at least 96 % of it are tokens that somebody reads")
    func fullPool() {
        let (blocks, length) = (364, 800)
        var scheduler = Scheduler(configuration: EngineConfiguration(), blockCount: blocks)
        for id in 0..<48 { scheduler.enqueue(sequence(id, (0..<600).map { Int32($0 + id * 7) })) }
        var shares: [Double] = []
        while !scheduler.sequences.isEmpty {
            let plan = scheduler.plan()
            run(plan, on: &scheduler, length: length)
            guard plan.waitsForBlocks else { continue }
            let live = scheduler.running.reduce(0) {
                $0 + (scheduler.sequences[$1]?.computed ?? 0)
            }
            shares.append(Double(live) / Double(blocks * scheduler.blockTokens))
        }
        #expect(shares.count > 200)
        // What ended in a step has left it; the median does not see these few.
        #expect(shares.sorted()[shares.count / 2] > 0.97)
        #expect(shares.reduce(0, +) / Double(shares.count) > 0.96)
    }

    @Test("takes no more blocks from the last than are needed, and it keeps what the others hold")
    func shrinks() throws {
        var scheduler = Scheduler(configuration: EngineConfiguration(), blockCount: 8)
        scheduler.enqueue(sequence(0, (0..<96).map { Int32($0) }))
        scheduler.enqueue(sequence(1, (0..<127).map { Int32($0 + 500) }))
        for _ in 0..<3 { run(scheduler.plan(), on: &scheduler, length: .max) }
        // 4 blocks each, the second one's full: its next token wants a fifth.
        #expect(scheduler.allocator.availableCount == 0)
        var stalled = 0
        while scheduler.sequences[0]?.blocks.count == 4 {
            let plan = scheduler.plan()
            stalled += plan.waitsForBlocks && plan.items.map(\.sequence) == [0] ? 1 : 0
            run(plan, on: &scheduler, length: .max)
        }
        #expect(stalled > 20)
        let second = try #require(scheduler.sequences[1])
        #expect(scheduler.running == [0, 1])
        #expect(second.blocks.count == 3 && second.computed == 96 && second.registered == 3)
        // It goes on from there as soon as the first is done.
        scheduler.remove(0)
        let item = try #require(scheduler.plan().items.first)
        #expect(item.sequence == 1 && item.firstPosition == 96 && item.reachesEnd)
    }

    @Test("gives every running answer a token in every step, whatever prompts come")
    func noStarvation() {
        var configuration = EngineConfiguration()
        configuration.batchTokens = 64
        configuration.prefillBesideDecode = 16
        var scheduler = Scheduler(configuration: configuration, blockCount: 500)
        scheduler.enqueue(sequence(0, [1, 2, 3]))
        for item in scheduler.plan().items { scheduler.complete(item, chosen: [9]) }
        for id in 1..<6 { scheduler.enqueue(sequence(id, (0..<500).map { Int32($0 + id) })) }
        for step in 1...100 {
            let plan = scheduler.plan()
            #expect(plan.items.contains { $0.sequence == 0 }, "step \(step)")
            for item in plan.items { scheduler.complete(item, chosen: item.reachesEnd ? [9] : []) }
            #expect(scheduler.sequences[0]?.tokens.count == 4 + step)
        }
        #expect((scheduler.sequences[1]?.tokens.count ?? 0) > 500)
    }

    @Test("serves waiting clients in turn, and lower priority numbers first")
    func fairness() {
        var configuration = EngineConfiguration()
        configuration.maxSequences = 1
        var scheduler = Scheduler(configuration: configuration, blockCount: 100)
        // One client sends ten requests before the other sends two, and one is urgent.
        for id in 0..<10 { scheduler.enqueue(sequence(id, [1, Int32(id)], client: "busy")) }
        for id in 10..<12 { scheduler.enqueue(sequence(id, [2, Int32(id)], client: "rare")) }
        scheduler.enqueue(sequence(12, [3, 3], client: "busy", priority: -1))
        var order: [Int] = []
        while let item = scheduler.plan().items.first {
            order.append(item.sequence)
            scheduler.complete(item, chosen: [1])
            scheduler.remove(item.sequence)
        }
        #expect(order.first == 12)
        #expect(Set(order.prefix(5)).isSuperset(of: [10, 11]), "\(order)")
        #expect(order.count == 13)
    }

    @Test("takes the blocks of a reader who stays away for others, and gives them back to it")
    func awayReader() throws {
        var scheduler = Scheduler(configuration: EngineConfiguration(), blockCount: 22)
        scheduler.enqueue(sequence(0, (0..<576).map { Int32($0) }))
        while scheduler.sequences[0]?.isDecoding != true {
            run(scheduler.plan(), on: &scheduler, length: .max)
        }
        for _ in 0..<30 { run(scheduler.plan(), on: &scheduler, length: .max) }
        #expect(scheduler.sequences[0]?.blocks.count == 19)
        // Of the same priority, of a lower one, and more than fits beside the first.
        for id in 1...3 {
            scheduler.enqueue(
                sequence(id, (0..<400).map { Int32($0 + id * 1000) }, priority: id - 1))
        }
        for _ in 0..<400 { run(scheduler.plan(paused: [0]), on: &scheduler, length: 440) }
        #expect(scheduler.sequences.keys.sorted() == [0])
        let before = try #require(scheduler.sequences[0]).tokens.count
        for _ in 0..<40 { run(scheduler.plan(), on: &scheduler, length: .max) }
        #expect((scheduler.sequences[0]?.tokens.count ?? 0) > before + 20)
    }

    @Test("lets others progress whoever does not read, over random histories", arguments: 0..<8)
    func pausedHistories(_ seed: Int) {
        var configuration = EngineConfiguration()
        configuration.maxSequences = [2, 8][seed % 2]
        configuration.batchTokens = 64
        var scheduler = Scheduler(configuration: configuration, blockCount: 16)
        var random = SeededGenerator(seed: UInt64(seed))
        let away: Set<Int> = [0, 1, 4, 7]
        for id in 0..<12 {
            let count = Int.random(in: 40...200, using: &random)
            scheduler.enqueue(
                sequence(
                    id, (0..<count).map { Int32($0 + id * 1000) },
                    priority: Int.random(in: 0..<3, using: &random)))
            // Those who go away do so after some tokens.
            for _ in 0..<3 { run(scheduler.plan(), on: &scheduler, length: 260) }
        }
        for _ in 0..<3000 { run(scheduler.plan(paused: away), on: &scheduler, length: 260) }
        #expect(Set(scheduler.sequences.keys).isSubset(of: away))
        for _ in 0..<3000 { run(scheduler.plan(), on: &scheduler, length: 260) }
        #expect(scheduler.sequences.isEmpty && scheduler.allocator.usedCount == 0)
    }

    @Test("never shares blocks across tags")
    func tags() {
        var scheduler = Scheduler(configuration: EngineConfiguration(), blockCount: 64)
        let prompt = (0..<100).map { Int32($0) }
        for (id, tag) in [
            CacheTag(), CacheTag(adapter: 1), CacheTag(salt: "x"), CacheTag(weights: 1), CacheTag(),
        ].enumerated() {
            scheduler.enqueue(sequence(id, prompt, tag: tag))
            for item in scheduler.plan().items { scheduler.complete(item, chosen: [1]) }
            scheduler.remove(id)
        }
        #expect(scheduler.counters.prefixHits == 96)
        scheduler.forgetPrefixes()
        scheduler.enqueue(sequence(9, prompt))
        #expect(scheduler.plan().items.first?.firstPosition == 0)
    }

    private func sequence(
        _ id: Int, _ tokens: [Int32], client: String = "", priority: Int = 0,
        tag: CacheTag = CacheTag()
    ) -> ScheduledSequence {
        ScheduledSequence(
            id: id, request: id, sample: 0, promptCount: tokens.count, tokens: tokens,
            priority: priority, client: client, arrival: id, tag: tag, sharesPrefixes: true,
            sampleCount: 1, wantsAllRows: false, endsWithPrompt: false)
    }
}
