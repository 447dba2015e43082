"""Dates and phone numbers as people say and type them. Its libraries take a while to load."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final

import phonenumbers
from dateutil import parser
from dateutil.relativedelta import relativedelta
from phonenumbers import NumberParseException, PhoneNumberFormat

from voice_app.agents.spoken import SpokenWords, words_of

_ENGLISH: Final = words_of("en")
_MONTHS: Final = _ENGLISH.months.title().split()
_NUMERIC: Final = re.compile(r"(\d{1,2})\s*[./ -]\s*(\d{1,2})\s*[./ -]\s*(\d{4})")
_ISO: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_SPAN: Final = re.compile(r"\bin (\d+) (day|week|month|year)s?\b")
_CENTURY: Final = re.compile(r"\b(1[89]|20) (?:(?:oh|o) ?)?(\d{1,2})\b")
_MONTH_FIRST: Final = frozenset({"en", "en-us", ""})
MIN_YEAR: Final = 1880
MAX_YEARS_AHEAD: Final = 50


def month_first(language: str) -> bool:
    """Whether the speakers of a language (BCP-47) write the month before the day."""
    return language.lower() in _MONTH_FIRST


def date_in(text: str, language: str, today: date, *, past: bool = False) -> date | None:
    """The day that is meant. ``past``: one that is over by ``today``."""
    words = words_of(language)
    plain = text.casefold().replace("’", "'")
    found = _relative(plain, words, today)
    if found is None:
        found = _absolute(_in_english(plain, words), language, today, past=past)
    if found is None or not MIN_YEAR <= found.year <= today.year + MAX_YEARS_AHEAD:
        return None
    return None if past and found > today else found


def date_typed(digits: str, language: str) -> date | None:
    """The day that eight keys name, month first where that is usual."""
    form = "%m%d%Y" if month_first(language) else "%d%m%Y"
    try:
        return datetime.strptime(digits, form).date() if len(digits) == 8 else None
    except ValueError:
        return None


def said_date(day: date, language: str) -> str:
    """A day as it is read aloud."""
    words = words_of(language)
    month = words.months.split()[day.month - 1]
    if words is _ENGLISH:
        return f"{_MONTHS[day.month - 1]} {day.day}, {day.year}"
    if words is words_of("es"):
        return f"{day.day} de {month} de {day.year}"
    if words is words_of("de"):
        return f"{day.day}. {month.title()} {day.year}"
    return f"{day.day} {month} {day.year}"


def _relative(text: str, words: SpokenWords, today: date) -> date | None:
    """A day that is told by its distance from today, or by its name."""
    said = f" {re.sub(r'[.,!?]', ' ', text)} "
    tomorrow = any(f" {word} " in said for word in words.tomorrow.split())
    if tomorrow:
        return today + timedelta(2 if " day after " in said else 1)
    if any(f" {word} " in said for word in words.yesterday.split()):
        return today - timedelta(2 if " day before " in said else 1)
    if any(f" {word} " in said for word in words.today.split()):
        return today
    counted = _SPAN.search(_counted(said, words))
    if counted:
        return _later(today, int(counted[1]), counted[2])
    if re.search(r"\d", _counted(said, words)):
        return None
    for number, weekday in enumerate(words.weekdays.split()):
        if f" {weekday} " in said:
            return today + timedelta((number - today.weekday() - 1) % 7 + 1)
    return None


def _later(day: date, count: int, unit: str) -> date | None:
    match unit:
        case "day":
            return day + timedelta(days=count)
        case "week":
            return day + timedelta(weeks=count)
        case "month":
            return day + relativedelta(months=count)
        case _:
            return day + relativedelta(years=count)


def _absolute(text: str, language: str, today: date, *, past: bool) -> date | None:
    day_first = not month_first(language)
    if numeric := _NUMERIC.search(text):
        first, second, year = (int(part) for part in numeric.groups())
        day, month = (first, second) if day_first or first > 12 else (second, first)
        return _date(year, month, day)
    if iso := _ISO.search(text):
        return _date(*(int(part) for part in iso.groups()))
    has_month = any(month.casefold() in text for month in _MONTHS)
    if not has_month or not re.search(r"\d", text):
        return None
    here = datetime(today.year, today.month, 1)
    try:
        found = parser.parse(text, default=here, dayfirst=day_first, fuzzy=True).date()
        other = parser.parse(text, default=here.replace(year=today.year + 4), dayfirst=day_first, fuzzy=True)
    except (ValueError, OverflowError):
        return None
    if found.year == other.year:
        return found  # the year was said
    if past and found > today:
        return found - relativedelta(years=1)
    return found + relativedelta(years=1) if not past and found < today else found


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _in_english(text: str, words: SpokenWords) -> str:
    """The text as the parser of dates reads it: digits, and English months."""
    for month, english in zip(words.months.split(), _MONTHS, strict=True):
        text = re.sub(rf"\b{month}\b", english.casefold(), text)
    text = _counted(re.sub(r"\b(\d{1,2})(?:st|nd|rd|th|er|ère|\.)(?=\s)", r"\1", text), words)
    text = _CENTURY.sub(lambda match: f"{match[1]}{int(match[2]):02}", text)
    text = re.sub(r"\b2000 (?:and )?(\d{1,2})\b", lambda match: str(2000 + int(match[1])), text)
    names = "|".join(map(str.casefold, _MONTHS))
    kept = re.findall(rf"\d+(?:[./-]\d+)*|\b(?:{names})\b", text)
    return " ".join(kept)


def _counted(text: str, words: SpokenWords) -> str:
    """The text with digits in place of the words for numbers and ordinals."""
    numbers = dict(words.numbers) | {word: str(number) for word, number in words.ordinal_numbers.items()}
    text = text.replace("two thousand", "2000").replace("-", " " if re.search(r"[a-z]-[a-z]", text) else "-")
    tokens = text.split()
    out: list[str] = []
    for token in tokens:
        bare = token.strip(".,!?")
        value = numbers.get(bare)
        if value is None:
            out.append(token)
        elif out and len(value) == 1 and value != "0" and re.fullmatch(r"[2-9]0", out[-1]):
            out[-1] = out[-1][0] + value
        else:
            out.append(value)
    return " ".join(out)


def region_of(*addresses: str) -> str | None:
    """The country (ISO 3166) of the first of these addresses that is a phone number."""
    for address in addresses:
        try:
            return phonenumbers.region_code_for_country_code(phonenumbers.parse(address).country_code or 0)
        except NumberParseException:
            continue
    return None


def phone_of_digits(digits: str, region: str | None) -> str | None:
    """The number (E.164) that digits name, with a plus or as they are dialled in a country."""
    try:
        number = phonenumbers.parse(digits, region)
    except NumberParseException:
        return None
    # Possible, not valid: ranges are assigned faster than any table learns of it, and it is read back.
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def said_phone(number: str, region: str | None, words: SpokenWords) -> str:
    """A number (E.164) digit by digit, in its groups; with its country's code if that is another one."""
    form = PhoneNumberFormat.NATIONAL if region_of(number) == region else PhoneNumberFormat.INTERNATIONAL
    groups = re.findall(r"\+?\d+", phonenumbers.format_number(phonenumbers.parse(number), form))
    return ", ".join(" ".join(group).replace("+", words.marks["+"][0]) for group in groups)
