"""TwiML documents of our own writing: those that Twilio takes as they stand, and those it does not.

`VALID` holds, all together, every verb, noun and attribute of Twilio's documentation. `BAD` says which rule
each document breaks, and how badly.
"""

from __future__ import annotations

from typing import Final

from voice_app.findings import ERROR, NOTE, WARNING, Severity

CONFIGURATION: Final = "conv_configuration_01k7abcdefghjkmnpqrstvwxyz"
CONVERSATION: Final = "conv_conversation_01k7abcdefghjkmnpqrstvwxyz"
URL: Final = "https://voice.example.com/twiml"
RELAY_URL: Final = "wss://voice.example.com/relay/token"
HEARD: Final = 'reportInputDuringAgentSpeech="any"'
"""What every relay should say."""


def response(inside: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>\n{inside}\n</Response>\n'


def relay(attributes: str = "", inside: str = "") -> str:
    heard = "" if "reportInput" in attributes else HEARD
    return response(
        f'<Connect action="/ended"><ConversationRelay url="{RELAY_URL}" {heard} {attributes}>{inside}'
        "</ConversationRelay></Connect>"
    )


def transcription(attributes: str) -> str:
    return response(f'<Start><Transcription name="t" {attributes}/></Start>')


def dial(inside: str, attributes: str = "") -> str:
    return response(f'<Dial action="/dialled" {attributes}>{inside}</Dial>')


def gather(inside: str, attributes: str) -> str:
    return response(f'<Gather action="/gathered" {attributes}>{inside}</Gather>')


_CALLBACK: Final = 'statusCallback="/status" statusCallbackMethod="POST"'
_RECORDED: Final = (
    'recordingStatusCallback="/recorded" recordingStatusCallbackMethod="POST" '
    'recordingStatusCallbackEvent="in-progress completed absent" recordingConfigurationId="RC1" trim="do-not-trim"'
)
_MACHINE: Final = (
    'machineDetection="DetectMessageEnd" machineDetectionTimeout="30" machineDetectionSpeechThreshold="2400" '
    'machineDetectionSpeechEndThreshold="1200" machineDetectionSilenceTimeout="5000" amdStatusCallback="/amd" '
    'amdStatusCallbackMethod="POST"'
)
_PROGRESS: Final = f'{_CALLBACK} statusCallbackEvent="initiated ringing answered completed"'

VALID: Final[dict[str, str]] = {
    "nothing": "<Response/>",
    "a comment, an instruction, no declaration": "<!-- hello --><Response><?note here?><Hangup/></Response>",
    "say": response('<Say voice="Polly.Joanna-Neural" language="en-US" loop="2">Good morning!</Say>'),
    "say, the old voices": response(
        '<Say voice="alice" language="fr-FR">Bonjour !</Say><Say voice="man">Hi</Say>'
    ),
    "say, ElevenLabs": response('<Say voice="ElevenLabs.UgBBYS2sOqTuMpoF3BR0">Hello</Say>'),
    "say, Google": response(
        '<Say voice="Google.en-US-Chirp3-HD-Aoede" language="en-US">Hello &amp; welcome</Say>'
    ),
    "speech marks": response(
        '<Say>A<break strength="weak" time="200ms"/><emphasis level="moderate">b<w role="amazon:VB">read</w></emphasis>'
        '<lang xml:lang="de-DE">Guten Tag</lang><p><s>One.</s><s>Two.</s></p>'
        '<phoneme alphabet="ipa" ph="pɪˈkɑːn">pecan</phoneme>'
        '<prosody volume="loud" rate="slow" pitch="+10%">slow</prosody>'
        '<say-as interpret-as="telephone" format="1">+15550100</say-as><say-as role="yyyymmdd">20260101</say-as>'
        '<sub alias="World Wide Web">WWW</sub></Say>'
    ),
    "play": response(f'<Play loop="3">{URL}/music.mp3</Play><Play digits="wW12#*"/>'),
    "pause": response('<Pause length="2"/><Hangup/>'),
    "hangup with parameters": response('<Hangup><Parameter name="reason" value="done"/></Hangup>'),
    "redirect": response('<Redirect method="GET">next.xml?a=b&amp;c=d</Redirect>'),
    "reject": response('<Reject reason="busy"><Parameter name="why" value="spam"/></Reject>'),
    "leave": response("<Leave/>"),
    "echo": response("<Echo/>"),
    "sms": response(
        '<Sms to="+15550100002" from="+15550100001" action="/sent" method="POST" statusCallback="/sms">On our way</Sms>'
    ),
    "a billing tag": response(
        "<Annotate><BillingReferenceTag>team north</BillingReferenceTag></Annotate><Dial>+15550100002</Dial>"
    ),
    "gather keys": gather(
        "<Say>Press 1 for sales.</Say><Play>/tone.mp3</Play><Pause/>",
        'input="dtmf" method="POST" timeout="5" finishOnKey="#" numDigits="1" actionOnEmptyResult="true"',
    ),
    "gather speech": gather(
        "<Say>How can I help?</Say>",
        'input="speech" timeout="auto" speechTimeout="auto" maxSpeechTime="30" profanityFilter="false" '
        'language="en-US" hints="refund, order" bargeIn="true" partialResultCallback="/partial" '
        'partialResultCallbackMethod="POST" debug="true"',
    ),
    "gather both": gather(
        "<Say>Say sales, or press 1.</Say>", 'input="dtmf speech" numDigits="1" speechTimeout="2"'
    ),
    "gather with a model": gather(
        "", 'input="speech" speechModel="phone_call" enhanced="true" speechTimeout="3"'
    ),
    "gather with a provider's model": gather(
        "", 'input="speech" speechModel="deepgram_nova-3" speechTimeout="1"'
    ),
    "gather, no key ends it": gather("", 'finishOnKey=""'),
    "record": response(
        '<Record action="/recorded" method="POST" timeout="5" finishOnKey="1234567890*#" maxLength="120" '
        'playBeep="true" trim="trim-silence" recordingStatusCallback="/file" recordingStatusCallbackMethod="GET" '
        'recordingStatusCallbackEvent="completed absent" transcribe="true" transcribeCallback="/text" '
        'recordingConfigurationId="RC1"/>'
    ),
    "a long recording without a transcript": response('<Record action="/recorded" maxLength="3600"/>'),
    "dial a number": response("<Dial>(415) 555-0100</Dial>"),
    "dial": dial(
        "<Number>+15550100002</Number>",
        f'method="POST" timeout="20" hangupOnStar="true" timeLimit="3600" callerId="+15550100001" '
        f'record="record-from-answer-dual" {_RECORDED} recordingTrack="both" answerOnBridge="true" ringTone="us" '
        'referUrl="/refer" referMethod="POST" events="none" passports="x"',
    ),
    "dial one after the other": dial(
        "<Number>+15550100002</Number><Number>+15550100003</Number>", 'sequential="true"'
    ),
    "dial ten": dial("".join(f"<Number>+1555010000{digit}</Number>" for digit in range(10))),
    "dial a number with everything": dial(
        f'<Number sendDigits="ww12#" url="/whisper" method="GET" byoc="BY1" {_PROGRESS} {_MACHINE}>+15550100002</Number>'
    ),
    "dial a client": dial(
        f'<Client url="/whisper" method="POST" {_PROGRESS}><Identity>anna</Identity>'
        '<Parameter name="a" value="b"/></Client>',
        'callerId="client:joe"',
    ),
    "dial a client by text": dial("<Client>anna</Client>"),
    "dial an application": dial(
        f'<Application url="/app" method="POST" {_PROGRESS} customerId="c" copyParentTo="true">'
        '<ApplicationSid>AP1</ApplicationSid><Parameter name="a" value="b"/></Application>'
    ),
    "dial SIP": dial(
        f'<Sip username="u" password="p" url="/whisper" method="POST" {_PROGRESS} {_MACHINE}>'
        "sip:desk@example.com;transport=tls?x-order=81&amp;User-to-User=abc</Sip>",
        'callerId="front-desk"',
    ),
    "dial SIP with headers": dial(
        '<Sip><Uri priority="1" weight="2" username="u" password="p">sips:desk@example.com</Uri>'
        '<Headers><Header name="X-Order" value="81"/><Header name="P-Called-Party-ID" value="1"/></Headers></Sip>'
    ),
    "dial a SIM": dial("<Sim>DE00000000000000000000000000000000</Sim>"),
    "dial WhatsApp": dial(
        f'<WhatsApp url="/whisper" method="POST" {_PROGRESS}>+15550100002</WhatsApp>',
        'callerId="whatsapp:+15550100001"',
    ),
    "dial a queue": dial(
        '<Queue url="/about" method="POST" reservationSid="WR1" postWorkActivitySid="WA1">help</Queue>'
    ),
    "dial a conference": dial(
        '<Conference muted="false" beep="onEnter" startConferenceOnEnter="true" endConferenceOnExit="false" '
        'waitUrl="/wait" waitMethod="GET" maxParticipants="10" record="record-from-start" region="us1" '
        f'coach="CA00000000000000000000000000000000" {_RECORDED} participantLabel="{"a" * 128}" '
        'jitterBufferSize="small" eventCallbackUrl="/event" statusCallback="/conference" statusCallbackMethod="POST" '
        'statusCallbackEvent="start end join leave mute hold modify speaker announcement">Room 1234</Conference>'
    ),
    "enqueue": response(
        '<Enqueue action="/left" method="POST" maxQueueSize="100" waitUrl="/wait" waitUrlMethod="POST">support</Enqueue>'
    ),
    "enqueue a name of 64": response(f"<Enqueue>{'q' * 64}</Enqueue>"),
    "enqueue a task": response(
        '<Enqueue workflowSid="WW00000000000000000000000000000000"><Task priority="5" timeout="200">'
        '{"language": "en"}</Task></Enqueue>'
    ),
    "refer": response(
        '<Refer action="/referred" method="POST"><Sip>sip:desk@example.com?X-A=1</Sip></Refer>'
    ),
    "pay": response(
        '<Pay input="dtmf" action="/paid" statusCallback="/pay" statusCallbackMethod="POST" timeout="5" '
        'maxAttempts="2" securityCode="true" postalCode="94105" minPostalCodeLength="5" paymentConnector="Stripe" '
        'paymentMethod="credit-card" tokenType="reusable" chargeAmount="20.45" currency="usd" description="Shoes" '
        'validCardTypes="visa amex" language="en-US"><Prompt for="payment-card-number" errorType="timeout" '
        'cardType="visa" attempt="1 2" requireMatchingInputs="true"><Say>Your card number, please.</Say>'
        '<Play>/tone.mp3</Play><Pause/></Prompt><Parameter name="a" value="b"/></Pay>'
    ),
    "pay from a bank": response(
        '<Pay paymentMethod="ach-debit" bankAccountType="consumer-checking" action="/paid"/>'
    ),
    "relay": relay(),
    "relay with Google": relay('ttsProvider="Google" voice="en-US-Journey-O" transcriptionProvider="google"'),
    "relay with Google's long name": relay(
        'ttsProvider="Google" voice="en-US-Chirp3-HD-Aoede" speechModel="long"'
    ),
    "relay in Bengali": relay('ttsProvider="Google" voice="bn-IN-Wavenet-A" language="bn-IN"'),
    "relay in Bengali on demand": relay(
        'ttsProvider="Google" voice="bn-IN-Wavenet-A"', '<Language code="bn-IN"/><Language code="en-US"/>'
    ),
    "relay in Mandarin": relay('ttsProvider="Google" voice="cmn-CN-Wavenet-A" language="zh-CN"'),
    "relay with Amazon": relay('ttsProvider="amazon" voice="Joanna-Neural"'),
    "relay with Amazon's standard voice": relay('ttsProvider="Amazon" voice="Joanna"'),
    "relay with ElevenLabs": relay('voice="UgBBYS2sOqTuMpoF3BR0"'),
    "relay with a tuned voice": relay(
        'ttsProvider="ElevenLabs" voice="UgBBYS2sOqTuMpoF3BR0-flash_v2_5-1.2_0.5_0.75" elevenlabsTextNormalization="on"'
    ),
    "relay with a voice's model": relay('voice="UgBBYS2sOqTuMpoF3BR0-turbo_v2_5"'),
    "relay in every language": relay(
        'ttsLanguage="multi" transcriptionLanguage="multi" transcriptionProvider="Deepgram" speechModel="nova-3-general"'
    ),
    "relay with flux": relay(
        'transcriptionProvider="Deepgram" speechModel="flux" eotThreshold="0.7" eagerEotThreshold="0.4" '
        'partialPrompts="true" deepgramSmartFormat="true"'
    ),
    "relay in a conversation": relay(f'conversationId="{CONVERSATION}"'),
    "relay with everything": relay(
        'welcomeGreeting="Hello!" welcomeGreetingInterruptible="any" language="en-US" ttsLanguage="en-US" '
        'transcriptionLanguage="en-US" ttsProvider="Google" voice="en-US-Neural2-A" transcriptionProvider="Google" '
        'speechModel="telephony" hints="Twilio" profanityFilter="true" interruptible="speech" '
        'interruptSensitivity="low" dtmfDetection="true" reportInputDuringAgentSpeech="any" preemptible="true" '
        'partialPromptOnHangup="true" speechTimeout="1200" turnDetection="true" ignoreBackchannel="true" '
        'echoPromptFiltering="true" backgroundNoiseReduction="true" includeInPrompt="turn-state prompt-segments" '
        'asrSmartFormat="true" ttsTextNormalization="auto" ttsLanguageTextNormalization="true" '
        'elevenlabsLanguageTextNormalization="true" events="speaker-events tokens-played config-updated" '
        f'debug="debugging" intelligenceService="GA0" conversationConfiguration="{CONFIGURATION}" '
        'customerName="Ann" applicationReconnect="true"',
        '<Language code="sv-SE" ttsProvider="Amazon" voice="Elin-Neural" transcriptionProvider="Deepgram" '
        'speechModel="nova-2-general" hints="hej" asrSmartFormat="true" ttsTextNormalization="on" '
        'ttsLanguageTextNormalization="false"/><Parameter name="shop" value="north"/><Failover/>',
    ),
    "relay's session and the AI's": response(
        '<Connect action="/ended"><ConversationRelaySession connector="c" sessionConfiguration="s"/></Connect>'
    ),
    "an AI session": response('<Connect><AiSession aiConnector="c" aiSessionConfiguration="s"/></Connect>'),
    "autopilot": response("<Connect><Autopilot>UA0</Autopilot></Connect>"),
    "a room": response('<Connect><Room participantIdentity="ann">DailyStandup</Room></Connect>'),
    "a virtual agent": response(
        f'<Connect action="/ended" method="POST"><VirtualAgent connectorName="c" language="en-US" '
        f'sentimentAnalysis="true" {_CALLBACK}><Config name="a" value="b"/><Parameter name="a" value="b"/>'
        "</VirtualAgent></Connect>"
    ),
    "a conversation": response(
        f'<Connect><Conversation serviceInstanceSid="IS1" inboundAutocreation="true" routingAssignmentTimeout="10" '
        f'inboundTimeout="10" url="/in" method="POST" record="true" trim="trim-silence" '
        'recordingStatusCallback="/r" recordingStatusCallbackMethod="POST" recordingStatusCallbackEvent="completed" '
        f'{_CALLBACK} statusCallbackEvent="call-initiated"/></Connect>'
    ),
    "a stream both ways": response(
        f'<Connect><Stream url="wss://voice.example.com/s" name="s" track="inbound_track" {_CALLBACK} '
        'audioFormat="x" sampleRate="8000"><Parameter name="a" value="b"/></Stream></Connect>'
    ),
    "a stream to listen": response(
        '<Start action="/started" method="POST"><Stream url="wss://voice.example.com/s" name="s" track="both_tracks"/>'
        "</Start><Dial>+15550100002</Dial>"
    ),
    "a stream by connector": response('<Start><Stream connectorName="c" name="s"/></Start>'),
    "SIP recording": response(
        f'<Start><Siprec name="s" connectorName="c" track="both_tracks" {_CALLBACK}>'
        '<Parameter name="a" value="b"/></Siprec></Start><Stop><Siprec name="s"/></Stop>'
    ),
    "a recording, begun and ended": response(
        f'<Start><Recording name="r" {_RECORDED} track="both" channels="dual"/></Start>'
        '<Stop><Recording name="r"/></Stop>'
    ),
    "a filter for noise": response(
        '<Start><MediaFilter name="n" track="inbound_track" filterType="noise" model="m">'
        '<Parameter name="a" value="b"/></MediaFilter></Start><Dial>+15550100002</Dial>'
        '<Stop><MediaFilter name="n"/></Stop>'
    ),
    "a transcription": response(
        '<Start><Transcription name="t" statusCallbackUrl="https://voice.example.com/t" statusCallbackMethod="POST" '
        'languageCode="en-US" track="both_tracks" inboundTrackLabel="caller" outboundTrackLabel="person" '
        'transcriptionEngine="google" speechModel="telephony" enableProviderData="true" profanityFilter="true" '
        'partialResults="true" hints="a,b" enableAutomaticPunctuation="true" intelligenceService="GA0" '
        f'conversationConfiguration="{CONFIGURATION}"><Config name="a" value="b"/><Parameter name="a" value="b"/>'
        '</Transcription></Start><Dial>+15550100002</Dial><Stop><Transcription name="t"/></Stop>'
    ),
    "a transcription in a conversation": transcription(
        f'conversationId="{CONVERSATION}" transcriptionEngine="deepgram" speechModel="nova-3" languageCode="multi"'
    ),
    "from a transcription to the relay": response(
        '<Start><Transcription name="t"/></Start><Stop><Transcription name="t"/></Stop>'
        f'<Connect action="/ended"><ConversationRelay url="{RELAY_URL}" {HEARD}/></Connect>'
    ),
    "letters of other scripts": response("<Say>Grüße, 你好, 🙂</Say>"),
}
"""What each is, and the document."""

BAD: Final[tuple[tuple[str, Severity, str], ...]] = (
    # Voices, providers and languages of the relay.
    ("TWI121", ERROR, relay('voice="en-US-Journey-O"')),
    ("TWI121", ERROR, relay('voice="en-US-Journey-O" ttsProvider="ElevenLabs"')),
    ("TWI121", ERROR, relay('voice="en-US-Neural2-A" ttsProvider="Amazon"')),
    ("TWI121", ERROR, relay('voice="Joanna-Neural"')),
    ("TWI121", ERROR, relay('voice="Joanna-Generative" ttsProvider="Google"')),
    ("TWI121", ERROR, relay('voice="UgBBYS2sOqTuMpoF3BR0" ttsProvider="Google"')),
    ("TWI121", ERROR, relay('voice="UgBBYS2sOqTuMpoF3BR0-flash_v2_5-1.0_0.5_0.75" ttsProvider="Amazon"')),
    ("TWI121", WARNING, relay('voice="UgBBYS2sOqTuMpoF3BR0-flash_v2_5-1.3_0.5_0.75"')),
    ("TWI121", WARNING, relay('voice="UgBBYS2sOqTuMpoF3BR0-flash_v2_5-0.5_0.75_1.0"')),
    ("TWI121", WARNING, relay('voice="UgBBYS2sOqTuMpoF3BR0-1.0_0.5"')),
    ("TWI121", ERROR, relay('voice="bn-IN-Wavenet-A" ttsProvider="Google"')),
    ("TWI121", ERROR, relay('voice="bn-IN-Wavenet-A" ttsProvider="Google" language="hi-IN"')),
    (
        "TWI121",
        ERROR,
        relay('voice="es-ES-Journey-D" ttsProvider="Google" language="es-ES" ttsLanguage="en-US"'),
    ),
    ("TWI121", WARNING, relay('voice="en-GB-Journey-D" ttsProvider="Google" language="en-US"')),
    ("TWI121", WARNING, relay('voice="Sunny" ttsProvider="Google"')),
    ("TWI121", WARNING, relay('voice="joanna" ttsProvider="Amazon"')),
    ("TWI121", WARNING, relay('voice="Joanna"')),
    ("TWI121", WARNING, relay('voice="en-US-Sunny-Day" ttsProvider="ElevenLabs"')),
    ("TWI121", ERROR, relay("", '<Language code="en-US" voice="en-US-Journey-O"/>')),
    ("TWI121", ERROR, relay('ttsProvider="Google"', '<Language code="sv-SE" voice="Elin-Neural"/>')),
    ("TWI121", ERROR, relay('ttsProvider="Google"', '<Language code="sv-SE" voice="de-DE-Wavenet-A"/>')),
    ("TWI121", ERROR, relay("", '<Language code="multi" ttsProvider="Google"/>')),
    ("TWI121", ERROR, relay('ttsLanguage="multi" ttsProvider="Amazon"')),
    ("TWI111", ERROR, relay('voice="Polly.Joanna-Neural"')),
    ("TWI112", ERROR, relay('ttsProvider="Deepgram"')),
    ("TWI112", ERROR, relay('language="en_US"')),
    ("TWI121", WARNING, relay('welcomeGreetingInterruptible="any"')),
    # Its recognition.
    ("TWI121", ERROR, relay('speechModel="nova-3-general" transcriptionProvider="Google"')),
    ("TWI121", ERROR, relay('speechModel="flux" transcriptionProvider="Google"')),
    ("TWI121", ERROR, relay('speechModel="telephony" transcriptionProvider="Deepgram"')),
    (
        "TWI121",
        ERROR,
        relay('transcriptionProvider="Google"', '<Language code="sv-SE" speechModel="nova-2-general"/>'),
    ),
    ("TWI121", ERROR, relay('transcriptionLanguage="multi" transcriptionProvider="Google"')),
    ("TWI121", WARNING, relay('speechModel="flux-general-en"')),
    ("TWI112", WARNING, relay('speechModel="whisper-1"')),
    ("TWI121", WARNING, relay('eotThreshold="0.7"')),
    ("TWI112", ERROR, relay('eotThreshold="1.0" speechModel="flux"')),
    ("TWI112", ERROR, relay('speechTimeout="300"')),
    ("TWI121", WARNING, relay('interruptible="none" interruptSensitivity="low"')),
    # Names, ids and spellings.
    ("TWI107", ERROR, relay(f'conversationConfigurationId="{CONFIGURATION}"')),
    ("TWI108", ERROR, relay(f'conversationConfiguration="{CONFIGURATION}" conversationId="{CONVERSATION}"')),
    ("TWI109", ERROR, relay(f'conversationConfiguration="{CONVERSATION}"')),
    ("TWI109", WARNING, relay('conversationConfiguration="front desk"')),
    ("TWI109", WARNING, transcription('conversationConfiguration="front desk"')),
    ("TWI125", WARNING, relay('speechtimeout="auto"')),
    ("TWI125", WARNING, relay('backgroundnoisereduction="true"')),
    ("TWI106", ERROR, relay('interruptByDtmf="true"')),
    ("TWI104", ERROR, response("<Transfer>+15550100002</Transfer>")),
    ("TWI105", ERROR, response(f'<ConversationRelay url="{RELAY_URL}" {HEARD}/>')),
    (
        "TWI110",
        ERROR,
        response(
            f'<Connect action="/e"><ConversationRelay url="https://voice.example.com/r" {HEARD}/></Connect>'
        ),
    ),
    (
        "STT104",
        ERROR,
        response(
            f'<Start><Transcription name="t"/></Start>{"<Connect>"}<ConversationRelay url="{RELAY_URL}" {HEARD}/></Connect>'
        ),
    ),
    # Transcription.
    ("TWI121", ERROR, transcription('speechModel="nova-3"')),
    ("TWI121", ERROR, transcription('languageCode="multi"')),
    ("TWI121", ERROR, transcription('speechModel="telephony" transcriptionEngine="deepgram"')),
    ("TWI121", WARNING, transcription('speechModel="nova-3-general" transcriptionEngine="deepgram"')),
    ("TWI121", WARNING, transcription('track="inbound_track" outboundTrackLabel="person"')),
    ("TWI121", WARNING, transcription('track="outbound_track" inboundTrackLabel="caller"')),
    ("TWI121", WARNING, transcription('partialResults="true"')),
    ("TWI130", NOTE, response(f'<Connect action="/e"><ConversationRelay url="{RELAY_URL}"/></Connect>')),
    # Streams.
    ("TWI121", ERROR, response('<Connect><Stream url="wss://a.example/s" track="both_tracks"/></Connect>')),
    (
        "TWI121",
        ERROR,
        response('<Connect><Stream url="wss://a.example/s" track="outbound_track"/></Connect>'),
    ),
    ("TWI113", ERROR, response('<Connect><Stream name="s"/></Connect>')),
    ("TWI113", ERROR, response('<Start><Stream name="s"/></Start>')),
    ("TWI113", ERROR, response('<Start><Siprec name="s"/></Start>')),
    # Dial and its nouns.
    ("TWI105", ERROR, dial("<Conference>a</Conference><Number>+15550100002</Number>")),
    ("TWI105", ERROR, dial("<Client>ann</Client><Conference>a</Conference>")),
    ("TWI105", WARNING, dial("<Queue>a</Queue><Number>+15550100002</Number>")),
    ("TWI105", ERROR, dial("<Number>+15550100002</Number>" * 11)),
    ("TWI115", WARNING, dial("+15550100002<Number>+15550100003</Number>")),
    ("TWI112", ERROR, dial("<Number>the front desk</Number>")),
    ("TWI112", ERROR, dial("client:ann")),
    ("TWI112", ERROR, dial("<Sip>desk@example.com</Sip>")),
    ("TWI121", ERROR, dial("<Sip>sip:desk@example.com?order=81</Sip>")),
    ("TWI121", ERROR, dial("<Sip>sip:desk@example.com?x-order=81&amp;colour=red</Sip>")),
    ("TWI121", ERROR, response("<Refer><Sip>sip:desk@example.com?order=81</Sip></Refer>")),
    (
        "TWI112",
        ERROR,
        dial('<Sip><Uri>sip:a@example.com</Uri><Headers><Header name="order" value="1"/></Headers></Sip>'),
    ),
    ("TWI121", ERROR, dial(f"<Sip>sip:{'a' * 260}@example.com</Sip>")),
    ("TWI121", ERROR, dial("<Number>+15550100002</Number>", 'callerId="client:joe"')),
    ("TWI121", ERROR, dial("+15550100002", 'callerId="Front desk"')),
    ("TWI121", ERROR, dial("<Number>+15550100002</Number>", 'callerId=""')),
    ("TWI121", ERROR, dial("<Client>ann</Client>", 'callerId=""')),
    ("TWI121", ERROR, dial("<WhatsApp>+15550100002</WhatsApp>", 'callerId="+15550100001"')),
    ("TWI121", WARNING, dial('<Number statusCallbackEvent="answered">+15550100002</Number>')),
    ("TWI121", WARNING, dial('<Client statusCallbackMethod="GET">ann</Client>')),
    ("TWI121", WARNING, dial('<Conference statusCallbackEvent="join">a</Conference>')),
    ("TWI121", WARNING, dial('<Number amdStatusCallback="/amd">+15550100002</Number>')),
    ("TWI121", WARNING, dial('<Sip machineDetectionTimeout="30">sip:a@example.com</Sip>')),
    ("TWI121", WARNING, dial("+15550100002", 'recordingStatusCallback="/r"')),
    ("TWI121", WARNING, dial("+15550100002", 'record="do-not-record" recordingStatusCallback="/r"')),
    ("TWI121", WARNING, dial("+15550100002", 'record="true" recordingStatusCallbackEvent="completed"')),
    ("TWI121", WARNING, dial('<Conference recordingStatusCallback="/r">a</Conference>')),
    ("TWI121", WARNING, dial("+15550100002", 'trim="trim-silence"')),
    ("TWI112", ERROR, dial(f'<Conference participantLabel="{"a" * 129}">a</Conference>')),
    ("TWI121", NOTE, response('<Say>One moment.</Say><Dial answerOnBridge="true">+15550100002</Dial>')),
    ("TWI112", ERROR, dial(f"<Queue>{'q' * 65}</Queue>")),
    # Enqueue.
    ("TWI116", ERROR, response("<Enqueue/>")),
    ("TWI116", ERROR, response('<Enqueue waitUrl="/wait">  </Enqueue>')),
    ("TWI112", ERROR, response(f"<Enqueue>{'q' * 65}</Enqueue>")),
    ("TWI121", ERROR, response("<Enqueue>support<Task>{}</Task></Enqueue>")),
    # Record and Gather.
    ("TWI121", WARNING, response('<Record action="/r" transcribe="true" maxLength="180"/>')),
    ("TWI121", NOTE, response('<Record action="/r" transcribe="true"/>')),
    ("TWI121", WARNING, response('<Record action="/r" transcribeCallback="/text"/>')),
    ("TWI121", WARNING, response('<Record action="/r" transcribe="false" transcribeCallback="/text"/>')),
    ("TWI126", WARNING, response('<Record maxLength="60"/>')),
    ("TWI126", WARNING, response('<Gather numDigits="1"><Say>Press 1.</Say></Gather>')),
    ("TWI129", WARNING, gather("<Say>Press 1 for sales.</Say>", 'input="speech"')),
    ("TWI129", WARNING, gather("<Say>For sales, <emphasis>press</emphasis> 1.</Say>", 'input="speech"')),
    ("TWI129", WARNING, gather("<Say>Please say yes or no.</Say>", 'input="dtmf"')),
    ("TWI121", WARNING, gather("", 'input="speech" speechModel="phone_call" speechTimeout="auto"')),
    ("TWI112", ERROR, gather("", 'input="speech" speechTimeout="0.5"')),
    ("TWI121", WARNING, gather("", 'hints="refund"')),
    ("TWI121", WARNING, gather("", 'input="speech" numDigits="1"')),
    ("TWI121", WARNING, gather("", 'input="speech" enhanced="true"')),
    # The rest.
    ("TWI116", ERROR, response("<Play/>")),
    ("TWI126", WARNING, response("<Redirect/>")),
    ("TWI112", WARNING, response('<Say voice="Joanna">Hello</Say>')),
    ("TWI121", WARNING, response("<Say>Goodbye.</Say><Reject/>")),
    ("TWI114", WARNING, response("<Hangup/><Say>Goodbye.</Say>")),
    ("TWI124", ERROR, response("<Annotate/>")),
    (
        "TWI112",
        ERROR,
        response(f"<Annotate><BillingReferenceTag>{'t' * 129}</BillingReferenceTag></Annotate>"),
    ),
    ("TWI112", WARNING, response('<Start><MediaFilter name="n" filterType="echo"/></Start>')),
    ("TWI121", WARNING, response('<Pay action="/p" bankAccountType="consumer-checking"/>')),
    ("TWI103", ERROR, "<Say>Hello</Say>"),
    ("TWI101", ERROR, "<Response><Say>Fish & chips</Say></Response>"),
    ("TWI102", ERROR, "<!DOCTYPE Response><Response/>"),
    ("TWI127", ERROR, response(f"<Say>{'a' * 70_000}</Say>")),
    ("TWI127", NOTE, response(f"<Say>{'a' * 4_000}</Say>")),
    ("TWI128", ERROR, '<?xml version="1.0" encoding="ISO-8859-1"?><Response><Say>Grüße</Say></Response>'),
)
"""The rule, how bad a breach is, and the document."""
