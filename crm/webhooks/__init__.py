"""Events on their way to other programs.

`catalogue`: what can be subscribed to · `filters`: Close's filter language over events · `subscriptions`: who gets what ·
`queue`: deliveries, written with the event · `addresses`: where a webhook may go · `sending`: one signed request ·
`courier`: takes what is due, tries again, pauses what fails for days.
"""
