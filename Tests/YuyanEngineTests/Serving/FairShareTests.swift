import Testing

@testable import YuyanEngine

@Suite("Fair shares")
struct FairShareTests {
    @Test("a client that goes and comes back still has what it had, until others had as much")
    func leavingPaysNothingOff() {
        var shares = FairShare()
        shares.arrive("steady")
        shares.arrive("busy")
        shares.charge("busy", 4000)
        shares.leave("busy")
        shares.arrive("busy")
        #expect(shares.served("busy") > shares.served("steady"))
        shares.leave("busy")
        for _ in 0..<20 { shares.charge("steady", 5000) }
        shares.arrive("busy")
        // Little is left of it, and idling has saved nothing up.
        let lead = shares.served("busy") - shares.served("steady")
        #expect(lead >= 0 && lead < 10)
    }

    @Test("who comes first starts where the others are, and nobody owes without end")
    func floorAndCap() {
        var shares = FairShare()
        shares.arrive("a")
        shares.charge("a", 1e9)
        shares.arrive("new")
        #expect(shares.served("new") == shares.served("a"))
        shares.leave("a")
        shares.arrive("a")
        #expect(shares.served("a") - shares.served("new") <= FairShare.mostDebt)
    }

    @Test("memory is bounded, however many clients come once")
    func bounded() {
        var shares = FairShare()
        for index in 0..<10_000 {
            shares.arrive("\(index)")
            shares.charge("\(index)", 1)
            shares.leave("\(index)")
        }
        shares.arrive("large")
        shares.charge("large", 5000)
        shares.leave("large")
        for index in 0..<1500 {
            shares.arrive("again \(index)")
            shares.leave("again \(index)")
        }
        shares.arrive("large")
        #expect(shares.served("large") > 0)
    }
}
