package platform

// Ranks of pushes at one connection: what somebody waits for goes first.
const (
	RankOnDemand = 0 // a person looks at the answer
	RankOrdinary = 1
	RankBulk     = 2
)
