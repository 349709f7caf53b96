/** What went wrong, with all that is needed to see why. */
export interface Fault {
  readonly step: number;
  /** What was changed last. */
  readonly change: string;
  readonly what: string;
  /** Request, expected and got, and the configuration, as plain data. */
  readonly details: unknown;
}

/** After so many the run is over: there is enough to look at. */
const most = 5;

export class Report {
  readonly faults: Fault[] = [];
  #step = 0;
  #change = "the beginning";

  at(step: number, change: string): void {
    this.#step = step;
    this.#change = change;
  }

  fail(what: string, details?: unknown): void {
    if (this.faults.length < most) this.faults.push({ step: this.#step, change: this.#change, what, details });
  }

  get isFull(): boolean {
    return this.faults.length >= most;
  }
}

/** A fault in a line: when, after what, what, and of which request. */
export function formatFault({ step, change, what, details }: Fault): string {
  const request = typeof details === "object" && details !== null && "request" in details ? details.request : undefined;
  const asked = request === undefined ? "" : ` (${JSON.stringify(request)})`;
  return `at change ${step} (${change}): ${what}${asked}`;
}

/** For people: maps and sets as what is in them. */
export function formatDetails(details: unknown): string {
  const plain = (_key: string, value: unknown): unknown => {
    if (value instanceof Map) return Object.fromEntries(value);
    if (value instanceof Set) return [...value];
    if (Buffer.isBuffer(value) || isBufferJson(value)) return "(bytes)";
    return value;
  };
  return JSON.stringify(details, plain, 1);
}

function isBufferJson(value: unknown): boolean {
  return typeof value === "object" && value !== null && "type" in value && value.type === "Buffer";
}
