"""What people write in the simulated world: templates by what they mean. All written for it.

The judge's word packs must not be tuned on them, nor they on the packs. Slots: {us} is the brand as the
platform addresses it, {n} an order number, {thing} a product, {day} a weekday, {town} a place,
{minutes} a number.
"""

from __future__ import annotations

COMPLAINTS = (
    "{us} Acme order {n} was meant to be here on {day}. No parcel, no mail, nothing.",
    "My {thing} from Acme broke after {minutes} minutes of use. {us} what now?",
    "{us} third call this week about order {n}, and each time a new person who knows nothing. Acme, really?",
    "Charged twice for one {thing}. {us} I want the second payment back. Acme has not moved since {day}.",
    "{us} the Acme app throws me out at the payment page every single time",
    "Been on hold with Acme for {minutes} minutes now. {us} is anybody there?",
    "{us} your driver left my {thing} in the rain and took a photo of it. Well done, Acme.",
    "So Acme closed my ticket {n} without a word. {us} open it again please, nothing is solved",
    "{us} I returned the {thing} on {day} and Acme still sits on my money",
    "Acme promised a call on {day}. It is two days later. {us} I am done waiting",
    "{us} wrong {thing} in the box, again. Does anyone at Acme read the order number ({n})?",
    "Cannot log in to my Acme account, reset mail never comes {us}",
    "{us} the {thing} smells of burnt plastic when I switch it on. This is dangerous, Acme!",
    "Acme raised my plan's price without telling me. {us} cancel it today",
    "{us} order {n}: status has said 'on its way' since {day}. Acme, on its way where?",
    "Half of the screws for the Acme {thing} are missing {us}, and the manual is for another model",
    "{us} Acme's chat bot sends me in circles. I need a person for order {n}",
    "Nobody from Acme showed up between 8 and 12 as agreed {us}. I took a day off for this",
    "<b>Acme</b> lost order {n} {us} <script>alert('and my patience')</script>",
    "{us} <!channel> Acme does not answer, so let us all shout: where is order {n}?",
    '=HYPERLINK("nowhere","refund") {us} Acme order {n} is still not refunded',
    "{us} Acme {thing} arrived broken \u202ekoorb\u202c, twice in a row \U0001f621\U0001f621",
    "{us} first line: Acme took my money\r\nSubject: second line: Acme sent nothing, order {n}",
    "{us} \x1b[31mAcme\x1b[0m order {n} is late, late, late",
)

OUTAGE = (
    "{us} no internet in {town} for {minutes} minutes now. Is there an outage?",
    "Globex is down again in {town} {us}. I work from home, this costs me money",
    "{us} the internet is dead here in {town}, router restarted twice, still nothing",
    "Another Globex outage, another day without internet. {us} do something!",
    "{us} phone and internet gone since {minutes} minutes, and your status page says all is well. Really?",
    "Whole street in {town} without internet {us}. When will this outage end?",
    "{us} I pay Globex for internet that does not work. {town}, {minutes} minutes and counting",
    "Outage in {town} and nobody at Globex picks up the phone {us}",
    "{us} third outage this month in {town}. I want my money back",
    "Is anybody at Globex awake? {us} internet down in {town}, exam in {minutes} minutes!",
)

QUESTIONS = (
    "{us} does the Acme {thing} come with a cable?",
    "Hi {us}, how long does Acme keep my size in stock?",
    "{us} can I change the address of Acme order {n}?",
    "Is the Acme shop open on {day}? {us}",
    "{us} which Acme {thing} fits a small kitchen?",
    "Quick one for {us}: where do I find the invoice for {n} on the Acme page?",
    "{us} do you ship the Acme {thing} to the islands?",
    "{us} when will the blue Acme {thing} be back?",
    "Does Acme take old ones back when I buy a new {thing}? {us}",
    "{us} is there an Acme discount for schools?",
    "{us} what is the warranty on the Acme {thing}, two years or three?",
    "How do I pair the Acme {thing} with my phone {us}",
)

PRAISE = (
    "{us} just wanted to say that the Acme {thing} is a joy",
    "Acme delivered a day early, and with a smile. Thank you {us}",
    "{us} best {thing} I ever had, Acme!",
    "Shout-out to the Acme crew on {day}, sorted in {minutes} minutes {us}",
    "{us} Acme's new colours are lovely \U0001f60d",
    "Ten years with my Acme {thing}, still going strong. Hats off {us}",
)

JOKES = (
    "{us} my Acme {thing} is broken: it can only fall off cliffs. The bird still laughs at me \U0001f602",
    "Still waiting for my Acme {thing}, says the coyote {us}. It has been {minutes} years",
    "{us} I want my money back, Acme: your {thing} made my neighbours like me \U0001f609",
)

THANKS = (
    "Thank you!",
    "thanks, that did it",
    "Perfect, cheers \U0001f44d",
    "Great, thank you for the quick help",
    "ok thanks",
)

MORE = (
    "Anybody?",
    "And it is order {n}, by the way.",
    "Adding a photo: the {thing} looks like this now",
    "Hello? It has been {minutes} minutes",
)

FOLLOW_UPS = (
    "And how long will that take?",
    "Which department should I ask for?",
    "Does that also go for the {thing}?",
)

SPAM = (
    "Cheap followers here, better than Acme, link in bio",
    "I made 500 in a {day} with this trick, Acme hates it",
    "Win an Acme {thing}!!! just click",
    "Hot deals for Acme fans, code {n}",
)

CHATTER = (
    "Wile E. and his Acme rocket, the best cartoon of my childhood",
    "Saw an Acme van on the road on {day}, blue as ever",
    "My grandfather worked at Acme for forty years",
    "Acme shares up again, who would have thought",
    "Reading about how Acme began in a garage",
    "The word acme means the highest point, today I learned",
    "Acme or the other one? Friends argue about it for {minutes} minutes now",
)

ANSWERS = (
    "Sorry about that! Could you send us the order number in a private message?",
    "That is not how it should be. We have put it right, it will be with you tomorrow.",
    "Thanks for telling us. A colleague looks at it right now.",
    "Happy to help: you find it under My orders, Invoices.",
    "We are sorry for the wait. Your refund went out this morning.",
    "Good question! Yes, it does.",
    "Oh no! We send a new one today, no need to return the old one.",
    "Thank you for the kind words, we pass them on to the team.",
)

SECOND_PARTS = (
    "2/2 And if anything else comes up, we are here.",
    "2/2 You get a mail as soon as it is on its way.",
)

BOT_ANSWERS = (
    "Thank you for reaching out! An agent will be with you shortly.",
    "We received your message. Our opening hours are 9 to 17.",
)

BRAND_POSTS = (
    "New in: the Acme {thing}, now in green. What do you think?",
    "Which Acme {thing} has been with you the longest? Tell us below!",
)

THINGS = (
    "kettle",
    "anvil",
    "lamp",
    "router",
    "bicycle pump",
    "blender",
    "rocket skate",
    "vacuum",
    "desk",
    "drill",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TOWNS = ("Ashford", "Brookfield", "Castleton", "Dunmore", "Eastbourne", "Fairview", "Grantham")
FIRST_NAMES = (
    "ana ben cleo dev eli fay gus hana ivo jill kai lena mo nia omar pia quin"
    " rosa sam tess uma vic wren xan yara zoe"
).split()
LAST_NAMES = "abel brook castle dale east field grove hill isle jones kent lake moor north oak park".split()
