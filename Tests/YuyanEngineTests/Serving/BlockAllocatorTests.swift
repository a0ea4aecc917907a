import TestSupport
import Testing
import YuyanEngine

@Suite("Block allocator")
struct BlockAllocatorTests {
    @Test("behaves as a table of counts would, over random histories", arguments: 0..<20)
    func model(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let capacity = [0, 1, 2, 7, 64][seed % 5]
        var allocator = BlockAllocator(capacity: capacity)
        var counts: [Int32: Int] = [:]
        for _ in 0..<2000 {
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                let wanted = Int.random(in: -1...5, using: &random)
                let blocks = allocator.allocate(wanted)
                guard wanted >= 0, wanted <= capacity - counts.count else {
                    #expect(blocks == nil, "\(wanted) of \(capacity - counts.count)")
                    break
                }
                let taken = try #require(blocks)
                #expect(taken.count == wanted)
                for block in taken {
                    #expect(block >= 0 && block < capacity && counts[block] == nil)
                    counts[block] = 1
                }
            case 1:
                guard let block = counts.keys.randomElement(using: &random) else { break }
                allocator.retain(block)
                counts[block, default: 0] += 1
            default:
                guard let block = counts.keys.randomElement(using: &random) else { break }
                let last = counts[block] == 1
                #expect(allocator.release(block) == last)
                counts[block] = last ? nil : (counts[block] ?? 0) - 1
            }
            #expect(allocator.usedCount == counts.count)
            #expect(allocator.availableCount == capacity - counts.count)
            for block in 0..<Int32(capacity) {
                #expect(allocator.referenceCount(of: block) == counts[block] ?? 0)
            }
        }
    }

    @Test("gives untouched blocks from the lowest number up")
    func order() {
        var allocator = BlockAllocator(capacity: 10)
        #expect(allocator.allocate(3) == [0, 1, 2])
        #expect(allocator.allocate(0) == [])
        #expect(allocator.allocate(8) == nil)
        #expect(allocator.allocate(7) == [3, 4, 5, 6, 7, 8, 9])
    }

    @Test("gives nothing of a request that it cannot fill")
    func allOrNothing() {
        var allocator = BlockAllocator(capacity: 4)
        _ = allocator.allocate(3)
        #expect(allocator.allocate(2) == nil)
        #expect(allocator.availableCount == 1)
        #expect(allocator.allocate(1) == [3])
    }

    @Test("traps on blocks that are free")
    func misuse() async {
        await #expect(processExitsWith: trap) {
            var allocator = BlockAllocator(capacity: 4)
            allocator.release(0)
        }
        await #expect(processExitsWith: trap) {
            var allocator = BlockAllocator(capacity: 4)
            guard let blocks = allocator.allocate(1) else { return }
            allocator.release(blocks[0])
            allocator.retain(blocks[0])
        }
        await #expect(processExitsWith: trap) { _ = BlockAllocator(capacity: -1) }
    }
}
