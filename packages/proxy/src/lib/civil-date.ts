export interface CivilDate {
  readonly year: number;
  /** 1 is January. */
  readonly month: number;
  /** From 1. */
  readonly day: number;
  /** From 0, in a year that begins on March 1st. */
  readonly marchDay: number;
}

/** The date of a day since the epoch, in the Gregorian calendar. Years begin in March here, so that a leap day is a year's last. */
export function civilDateOf(days: number): CivilDate {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const marchDay = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * marchDay + 2) / 153);
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const day = marchDay - Math.floor((153 * marchMonth + 2) / 5) + 1;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day, marchDay };
}
