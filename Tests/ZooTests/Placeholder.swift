import Testing
// ZooTests
