/** The Date header (RFC 9110, section 5.6.7), made once a second at most. */
import { civilDateOf } from "../lib/civil-date.ts";
import type { Clock } from "../lib/clock.ts";

const days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export class DateHeader {
  readonly #clock: Clock;
  #second = -1;
  #text = "";

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The text for this moment. */
  get text(): string {
    const second = Math.floor(this.#clock.now() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = formatHttpDate(second);
    }
    return this.#text;
  }
}

/** "Sun, 06 Nov 1994 08:49:37 GMT" for seconds since the epoch. */
export function formatHttpDate(seconds: number): string {
  const day = Math.floor(seconds / 86_400);
  const left = seconds - day * 86_400;
  const { year, month, day: date } = civilDateOf(day);
  const time = [Math.floor(left / 3_600), Math.floor(left / 60) % 60, left % 60].map(twoDigits).join(":");
  return `${days[((day % 7) + 7) % 7]}, ${twoDigits(date)} ${months[month - 1]} ${year} ${time} GMT`;
}

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}
