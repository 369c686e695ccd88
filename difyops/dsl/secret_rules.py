"""The table of what is a secret: names, formats of providers, addresses whose path is one, and what never is.

An operator reads this file to see why something is sealed. Everything here is data: how names are taken apart is in
``suspicion``, where a rule is applied in ``secret_texts`` and ``secret_places``. ``difyops.yaml`` adds to it and
excepts from it (``secret_policy``).
"""

from __future__ import annotations

from typing import NamedTuple

from difyops.dsl.model import word_set

# --- Names ----------------------------------------------------------------------------------------------------------

# The last word of a name that says alone that its value is a secret: api_token, clientSecret, X-Auth.
SECRET_WORDS = word_set(
    "token secret password passwd passphrase passcode passkey pwd apikey apitoken apisecret appsecret appkey accesskey"
    " accesstoken secretkey privatekey clientsecret corpsecret authtoken authkey authcode refreshtoken bearertoken"
    " mdp bottoken sessiontoken usertoken jwt bearer auth authorization credential credentials cookie cookies secrets"
    " passwords sessdata userpass pat psk apipass sas pass pw psw pswd"
)
# The end of a name written as one word: hapikey, usertoken, dbpassword.
SECRET_TAILS = (
    "apikey", "token", "secret", "password", "passwd", "passphrase", "secretkey", "accesskey", "privatekey",
    "pass", "pw",
)  # fmt: skip
NOT_SECRETS = word_set("bypass compass trespass surpass encompass overpass underpass")
# ``key`` and ``keys`` are secrets when this word stands before.
KEY_OWNERS = word_set(
    "api access secret private auth app subscription encryption encrypt signing sign service master account admin"
    " server client license licence shared storage webhook hook hmac aes rsa ssh ssl tls gpg user openai anthropic"
    " serper serpapi tavily google azure gemini deepseek dashscope moonshot qwen zhipu groq mistral cohere jina"
    " exa brave bing amap"
    " baidu consumer functions function ocp security integration ingest write rest deploy bot jwt session cipher"
    " decryption decrypt crypto mail email sms payment merchant verification signature developer dev"
)
# ``code`` is a secret after this word.
CODE_OWNERS = word_set(
    "pin access auth recovery backup secret activation entry door gate alarm vault safe master admin"
)
# ``token`` and ``tokens`` are counters, separators or positions after this word.
NOT_TOKENS = word_set(
    "max min per next prev previous page stop eos bos pad unk sep mask cls special separator continuation sync first"
    " last start end total input output prompt completion image audio count csrf new delete id used cached reasoning"
    " each of num number of context window"
)
# ``key`` is no secret after this word.
NOT_KEYS = word_set(
    "idempotency sort primary foreign partition cache object group row column index dict map routing lookup public"
    " label field unique item parent order surrogate websocket file name data json output input variable input_variable"
    " react state storage_name path hot translation i18n locale message config enum"
)
# Names that need a value that looks generated.
WEAK_WORDS = word_set(
    "key keys sig sign signature session sessionid code ak sk sid ticket appid pass pw licence license hash digest"
    " hook webhook nonce tok tk k seed bind zugang header signing pin otp"
    " sessid phpsessid jsessionid tokens st identifier_key skey wskey access login salt"
)
# Names of ids that are public by kind: they stand in the address bar of Feishu and Lark, Notion, Google.
PUBLIC_NAMES = word_set(
    "app_token spreadsheet_token sheet_token folder_token node_token doc_token docx_token document_token file_token"
    " wiki_token obj_token origin_node_token parent_node_token parent_token parent_wiki_token base_token bitable_token"
    " table_token block_token image_token media_token slides_token minute_token board_token whiteboard_token"
    " mindnote_token drive_token drive_route_token mount_node_token space_token target_parent_token view_token"
    " page_token next_page_token sync_token next_token continuation_token max_tokens csrf_token access_key_id"
    " aws_access_key_id secret_id accesskeyid api_key_id key_id"
)
# Words after a name's end that say nothing: api_key_value, token2.
NAME_TAILS = word_set("value values string str plaintext default prod test dev data b64 base64 hex raw plain header")
# Names of secrets in other languages; found anywhere in a name or a sentence.
FOREIGN_NAMES = (
    "密码|密碼|密钥|密鑰|秘钥|祕鑰|金鑰|密匙|口令|令牌|授权码|授權碼|passwort|kennwort|zugangsschlüssel"
    "|api-schlüssel|mot de passe|clé secrète|clé api|clé d'api|clé d'accès|contraseña|contrasena|clave secreta"
    "|clave de acceso|clave de api|clave api|contrasenya|senha|palavra-passe|chave secreta|chave de api"
    "|chave de acesso|parola(?![ _-]?chiav)|parolă|chiave segreta|chiave api|пароль|парол|секретный ключ"
    "|ключ доступа|лозинка|パスワード|秘密鍵|アクセスキー|暗証番号|비밀번호|비밀 키|비번|wachtwoord|hasło"
    "|heslo|jelszó|lozinka|geslo|salasana|lösenord|adgangskode|kodeord|passord|şifre|sifre|mật khẩu|mật mã"
    "|kata sandi|รหัสผ่าน|κωδικός|slaptažodis|parool|कूटशब्द|पासवर्ड|كلمة المرور|كلمة السر|رمز عبور|סיסמה|סיסמא"
)
# Words after which a user and a password stand.
FOREIGN_LOGINS = (
    "wifi|wi-fi|wlan|zugangsdaten|identifiants|credenciales|credenciais|账号|帐号|账户|用户名密码|учетные данные"
)
# With one of these a name begins, or has it in it, that a text is searched for; the short ones stand alone.
KEYWORDS = (
    "token", "secret", "sessdata", "session", "signature", "salt", "pass", "pwd", "psw", "key", "auth", "aes.new",
    "cookie", "credential", "cipher", "code", "bearer", "basic", "b64encode", "btoa", "jwt", "login", "hmac", "fernet",
    "identified by",
)  # fmt: skip
SHORT_KEYWORDS = ("pw", "pin", "pat", "ak", "sk", "mdp")
# What a mapping of accounts, headers or variables is called, or ends in.
WORDS_OF_MAPPINGS = ("cred", "auth", "login", "users", "accounts", "passwords", "tokens", "env", "headers")
# Names whose value is a secret even when it is a plain word.
PASSWORD_WORDS = word_set("password passwd passphrase passcode pwd userpass secret pass pw psw")

# --- Values ---------------------------------------------------------------------------------------------------------

# A value made of these words alone, whatever joins them, is a placeholder or the name of something.
PLACEHOLDER_WORDS = word_set(
    "a access account add admin an and any api app apikey appid auth authorization basic bearer bot changeme change"
    " client code cookie credential credentials custom data default demo dev dummy enter env example field fill foo bar"
    " from get github google header here hidden id in input insert invalid is its json key keys login me method mode my"
    " name new no none null of oauth openai optional or our param parameter paste path place placeholder please private"
    " prod provider public put query real redacted refresh replace request required response role sample secret secrets"
    " session set some store str string system tenant test text the this to todo token tokens true false type undefined"
    " url use user userid username value var variable verify via with xxx yyy zzz you your yours anthropic password"
    " passwd pass pwd passphrase number integer boolean object array enabled disabled constant mixed select"
    " text-input secret-input noauth oauth2 sha256 md5 hs256 rs256 base64 utf8 hmac jwt hash list dict int float bool"
    " expired missing empty wrong valid error not found count limit usage max min total prompt completion"
)
# The beginnings of sentences that ask for a value.
PLACEHOLDER = (
    r"(?i)[<\[{(]?\s?(?:your|insert|enter|replace|paste|fill|put|change|todo|please|input|example|my)\b.{0,80}"
    r"|(?:your|my|insert|replace|change)[-_].{0,60}"
    r"|(.)\1*|(?:x{3,}|\*{3,}|\.{3,}|_{3,}|…+|-{3,}|#{3,}).{0,40}|.{0,12}(?:(?-i:x{4,}|X{4,})|\*{3,}|\.{3,}|…).{0,12}"
    r"|[<\[][^<>\[\]]*[>\]]|%\w+%|%\(\w+\)\w?|%(?-i:[A-Z_]+|[a-z]{1,3})|@\w+@"
    r"|\$(?-i:[A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]*|[A-Za-z]+\d?|\d+)"
    r"|(?:0x)?0+|1?2345?6?7?8?9?0?|abc(?:123)?(?:def(?:456)?)?|abcdefg?h?"
    r"|.{0,20}(?:你的|您的|请|替换|填写|填入|输入|此处|这里|示例|自己的|获取的|某个).{0,20}"
)


class Format(NamedTuple):
    """One format of a credential: the pattern stands after something that is no letter, digit, ``_`` or ``-``.

    ``random``: what matches must also look generated, for the pattern alone is common.
    """

    kind: str
    pattern: str
    random: bool = False


FORMATS: tuple[Format, ...] = (
    # models
    Format("anthropic_key", r"sk-ant-[\w-]{16,}"),
    Format("openrouter_key", r"sk-or-(?:v1-)?[\w-]{20,}"),
    Format("openai_key", r"sk-(?=[\w-]{0,200}[0-9A-Z])[\w-]{20,}|sk-[a-z]{40,}|sess-[A-Za-z0-9]{40}"),
    Format("groq_key", r"gsk_[A-Za-z0-9]{20,}"),
    Format("xai_key", r"xai-[A-Za-z0-9]{20,}"),
    Format("perplexity_key", r"pplx-[A-Za-z0-9]{20,}"),
    Format("replicate_token", r"r8_[A-Za-z0-9]{20,}"),
    Format("huggingface_token", r"(?:hf|api_org)_[A-Za-z0-9]{20,}"),
    Format("nvidia_key", r"nvapi-[\w-]{20,}"),
    Format("cerebras_key", r"csk-[a-z0-9]{20,}"),
    Format("fireworks_key", r"fw_[A-Za-z0-9]{20,}", random=True),
    Format("voyage_key", r"pa-[\w-]{40,}", random=True),
    Format("zhipu_key", r"[0-9a-f]{32}\.[A-Za-z0-9]{16}(?![\w-])"),
    Format("elevenlabs_key", r"sk_[0-9a-f]{32,}"),
    Format("bedrock_key", r"ABSK[A-Za-z0-9+/]{60,}={0,2}"),
    Format("jina_key", r"jina_[\w-]{20,}"),
    Format("langsmith_key", r"lsv2_(?:pt|sk)_[0-9a-f]{20,}(?:_[0-9a-f]{6,})?"),
    Format("langfuse_key", r"sk-lf-[\w-]{20,}"),
    Format("pinecone_key", r"pcsk_\w{20,}"),
    Format("tavily_key", r"tvly-[\w-]{16,}"),
    Format("firecrawl_key", r"fc-[0-9a-f]{32}(?![\w-])"),
    Format("coze_token", r"(?:pat|sat)_[A-Za-z0-9]{40,}"),
    Format("modelscope_token", r"ms-[0-9a-f]{8}-[0-9a-f-]{27}"),
    # code, packages
    Format("github_token", r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"),
    Format("gitlab_token", r"gl(?:pat|dt|rt|cbt|oas|soat|ptt|ft|imt|agent|ffct)-[\w.-]{16,}|GR1348941[\w-]{16,}"),
    Format("bitbucket_token", r"ATBB[A-Za-z0-9]{24,}"),
    Format("atlassian_token", r"(?:ATATT3|ATCTT3)[\w=-]{20,}"),
    Format("npm_token", r"npm_[A-Za-z0-9]{30,}"),
    Format("pypi_token", r"pypi-[\w-]{50,}"),
    Format("rubygems_key", r"rubygems_[0-9a-f]{40,}"),
    Format("docker_token", r"dckr_(?:pat|oat)_[\w-]{20,}"),
    Format("artifactory_key", r"AKCp[A-Za-z0-9]{50,}"),
    Format("sonar_token", r"sq[apu]_[0-9a-f]{30,}"),
    Format("postman_key", r"PMAK-[0-9a-f]{20,}-[0-9a-f]{30,}"),
    Format("circleci_token", r"CCIPAT_\w{20,}"),
    Format("terraform_token", r"[A-Za-z0-9]{14}\.atlasv1\.[\w-]{40,}"),
    Format("pulumi_token", r"pul-[0-9a-f]{40}"),
    # clouds, databases
    Format("aws_key_id", r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}(?![0-9A-Za-z])"),
    Format("google_key", r"AIza[\w-]{30,}|GOCSPX-[\w-]{20,}|ya29\.[\w-]{20,}|1//0[\w-]{30,}"),
    Format("azure_client_secret", r"[\w.~]{3}[0-9]Q~[\w.~-]{31,}"),
    Format("azure_key", r"[A-Za-z0-9]{40,60}JQQJ99[A-Za-z0-9]{20,}"
           r"|[A-Za-z0-9]{32,76}AC[A-Z][A-Za-z0-9]{4}AAA[A-Za-z0-9]{4,}"),
    Format("azure_storage_key", r"(?<![+/])[A-Za-z0-9+/]{86}==(?![\w+/=])", random=True),
    Format("aliyun_key_id", r"LTAI[A-Za-z0-9]{12,26}(?![\w-])"),
    Format("tencent_key_id", r"AKID[A-Za-z0-9]{28,40}(?![\w-])"),
    Format("volcengine_key_id", r"AKLT[\w-]{30,}"),
    Format("baidu_key", r"bce-v3/ALTAK-[A-Za-z0-9]{16,}/[0-9a-f]{32,}"),
    Format("digitalocean_token", r"do[oprt]_v1_[0-9a-f]{40,}"),
    Format("heroku_key", r"HRKU-[\w-]{30,}"),
    Format("netlify_token", r"nfp_[A-Za-z0-9]{30,}"),
    Format("fly_token", r"fo1_[\w-]{30,}|fm[12][ar]?_[A-Za-z0-9+/=]{60,}"),
    Format("render_key", r"rnd_[A-Za-z0-9]{20,}"),
    Format("supabase_key", r"sb(?:p|_secret)_[\w-]{20,}"),
    Format("planetscale_key", r"pscale_(?:tkn|pw|oauth)_[\w.-]{30,}"),
    Format("databricks_token", r"dapi[0-9a-f]{32}(?:-\d)?"),
    Format("dbt_token", r"dbt[cs]_[\w-]{30,}"),
    Format("doppler_token", r"dp\.(?:pt|st|sa|ct|scim|audit)\.[\w.-]{30,}"),
    Format("vault_token", r"hv[sbr]\.[\w-]{20,}"),
    Format("onepassword_token", r"ops_eyJ[\w+/=-]{40,}"),
    Format("age_key", r"AGE-SECRET-KEY-1[0-9A-Z]{30,}"),
    # messages, payment, work
    Format("slack_token", r"xox[abeoprs](?:\.xox[bp])?-[\w-]{10,}|xapp-\d-[\w-]{20,}|xoxe-[\w-]{20,}"),
    Format("discord_token", r"[MNO][A-Za-z0-9_-]{23,27}\.[\w-]{6}\.[\w-]{27,}"),
    Format("telegram_token", r"\d{8,10}:AA[\w-]{30,}"),
    Format("stripe_key", r"[sr]k_(?:live|test|prod)_\w{16,}|whsec_[A-Za-z0-9+/=]{20,}"),
    Format("square_token", r"sq0[a-z]{3}-[\w-]{20,}|EAAA[\w-]{50,}"),
    Format("paypal_token", r"access_token\$production\$[0-9a-z]{16}\$[0-9a-f]{32}"),
    Format("shopify_token", r"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{30,}"),
    Format("twilio_key", r"SK[0-9a-f]{32}(?![\w-])"),
    Format("sendgrid_key", r"SG\.[\w-]{16,}\.[\w-]{16,}"),
    Format("mailgun_key", r"key-[0-9a-f]{32}(?![\w-])"),
    Format("mailchimp_key", r"[0-9a-f]{32}-us\d{1,2}(?![\w-])"),
    Format("brevo_key", r"x(?:keysib|smtpsib)-[0-9a-f]{40,}-[A-Za-z0-9]{10,}"),
    Format("resend_key", r"re_[A-Za-z0-9]{6,}_[A-Za-z0-9]{16,}|re_[A-Za-z0-9]{24,}", random=True),
    Format("notion_token", r"ntn_[A-Za-z0-9]{30,}|secret_[A-Za-z0-9]{40,}"),
    Format("linear_key", r"lin_(?:api|oauth)_[A-Za-z0-9]{30,}"),
    Format("airtable_token", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{40,}"),
    Format("hubspot_token", r"pat-[a-z]{2}\d-[0-9a-f-]{36}"),
    Format("figma_token", r"figd_[\w-]{30,}"),
    Format("typeform_token", r"tfp_[\w-]{30,}"),
    Format("dropbox_token", r"sl\.[\w-]{60,}"),
    Format("facebook_token", r"EAA[A-Za-z0-9]{60,}"),
    Format("mapbox_token", r"sk\.eyJ[\w-]{20,}\.[\w-]{10,}"),
    Format("rapidapi_key", r"[0-9a-f]{10}msh[0-9a-f]{15,}p1[0-9a-f]{6}jsn[0-9a-f]{12}"),
    Format("apify_token", r"apify_api_[A-Za-z0-9]{20,}"),
    Format("wecom_bot_secret", r"SEC[0-9a-f]{64}(?![\w-])"),
    # watching
    Format("grafana_token", r"gl(?:sa|c)_[A-Za-z0-9+/=]{24,}(?:_[0-9a-f]{8})?"),
    Format("sentry_token", r"sntry[su]_[\w+/=-]{30,}"),
    Format("newrelic_key", r"NR(?:AK|JS|II)-[A-Za-z0-9]{20,}"),
    Format("posthog_key", r"phx_[A-Za-z0-9]{30,}"),
    # Dify
    Format("dify_token", r"dfo[ae]_[\w-]{16,}"),
    Format("dify_key", r"(?:app|dataset)-(?=\w{0,24}[0-9A-Z])[A-Za-z0-9]{24}(?![\w-])"),
    # any
    Format("jwt", r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]{0,2000}){1,3}"),
    Format(
        "generic_key",
        r"(?:[a-z][a-z0-9]{1,14}[-_])?(?:sk|pat|tok|token|api|apikey|key|secret)[-_][\w-]{20,}",
        random=True,
    ),
)  # fmt: skip

PRIVATE_KEY = (
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[\w+/=\s\\:,.]|-(?!-))*(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?"
)

# --- Addresses ------------------------------------------------------------------------------------------------------

# Hosts whose path is the secret: every part of it that looks like one is cut.
HOOK_HOSTS = (
    "hooks.slack.com", "discord.com/api/webhooks", "discordapp.com/api/webhooks", "webhook.office.com",
    "outlook.office.com",
    "hooks.zapier.com", "mcp.zapier.com", "actions.zapier.com", "hc-ping.com", "healthchecks.io", "hook.make.com",
    "hook.eu1.make.com", "hook.eu2.make.com", "hook.us1.make.com", "hook.us2.make.com", "hook.integromat.com",
    "maker.ifttt.com", "open.feishu.cn/open-apis/bot", "open.larksuite.com/open-apis/bot", "www.feishu.cn/flow",
    "oapi.dingtalk.com/robot", "qyapi.weixin.qq.com", "api.telegram.org", "sctapi.ftqq.com", "sc.ftqq.com",
    "api.day.app", "webhook.site", "events.pagerduty.com/integration", "pipedream.net", "logic.azure.com",
    "powerplatform.com", "cronitor.link", "uptime.betterstack.com", "chat.googleapis.com", "mcp.so", "smithery.ai",
    "composio.dev", "modelscope.net", "hooks.airtable.com", "hook.us-east", "opsgenie.com/v1/json", "nosnch.in",
    "ntfy.sh", "gotify", "pushover.net", "xizhi.qqoq.net", "hooks.", "webhooks.", "hook.",
)  # fmt: skip
# Parts of a path after which a secret stands, on any host.
HOOK_PARTS = word_set(
    "hook hooks webhook webhooks webhookb2 webhook-test webhook-debug webhook-waiting incomingwebhook incoming-webhook"
    " incoming heartbeat heartbeats push key apikey api-key token secret mcp sse invoke catch ping trigger triggers"
    " callback endpoint robot bot e"
)
