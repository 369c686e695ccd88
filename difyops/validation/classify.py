"""Whether a text without JSON reads like a model declining to answer."""

from __future__ import annotations

import re

_REFUSAL = re.compile(
    r"(?i)\b(?:i(?:'|’)?m (?:really |very |so )?sorry|i am sorry|sorry, (?:but )?i|i apologi[sz]e|unfortunately,? i\b"
    r"|i (?:can(?:no|['’])t|am (?:not able|unable)|['’]m (?:not able|unable)|won['’]t|must decline|don['’]t have)"
    r"|as an ai\b|as a (?:large )?language model|unable to (?:assist|help|comply|provide|process|answer)"
    r"|cannot (?:assist|help|comply|provide|fulfil)|against (?:my|our) (?:policy|guidelines))"
    r"|很抱歉|对不起|抱歉，|无法(?:提供|回答|满足|协助)|我不能|申し訳|できません"
    r"|lo siento|no puedo|je suis désolé|je ne peux pas"
    r"|es tut mir leid|ich kann (?:das |dies |ihnen )?(?:leider )?nicht|desculpe|não posso|죄송합니다"
)


def is_refusal(text: str) -> bool:
    """Return whether a text reads like a model declining to answer (its first 600 characters)."""
    return _REFUSAL.search(text[:600]) is not None


def reads_like_refusal(value: object) -> bool:
    """Return whether a value is a sentence of refusal, alone or under one name."""
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    return isinstance(value, str) and is_refusal(value)
