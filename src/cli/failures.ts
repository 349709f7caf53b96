/** The command line cannot be meant as it stands; the message says what would be right. */
export class UsageError extends Error {}

/** A command was understood and could not be done; the message says what to do about it. */
export class CommandFailure extends Error {}
