/** The Date header (RFC 9110, section 5.6.7), made once a second at most. */
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
  const { year, month, date } = civilDate(day);
  const time = [Math.floor(left / 3_600), Math.floor(left / 60) % 60, left % 60].map(twoDigits).join(":");
  return `${days[((day % 7) + 7) % 7]}, ${twoDigits(date)} ${months[month]} ${year} ${time} GMT`;
}

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/** Of the Gregorian calendar: years begin in March here, so that a leap day is a year's last. */
function civilDate(day: number): { readonly year: number; readonly month: number; readonly date: number } {
  const shifted = day + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = (shiftedMonth + 2) % 12;
  const date = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  return { year: yearOfEra + era * 400 + (month < 2 ? 1 : 0), month, date };
}
