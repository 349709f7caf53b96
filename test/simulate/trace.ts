/** Writes down what a stage decided, for messages of failed expectations. */
export type Note = (line: string) => void;
