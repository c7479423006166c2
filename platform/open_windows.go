package platform

// OpenNoWait is no flag here: opening does not wait.
const OpenNoWait = 0
