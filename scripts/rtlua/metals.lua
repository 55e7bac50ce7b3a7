-- Complex refractive indices eta + i k of the metals that rt.metal knows by name, for red, green and blue of Rec. 709.
--
-- Gold, silver, copper, aluminium: the measured spectra of SOPRA's and Luxpop's tables (Johnson & Christy 1972, Palik
-- 1985), averaged with the CIE 1931 matching functions and carried to Rec. 709: what physically based renderers use,
-- since sampling the spectrum at three wavelengths makes gold greenish and copper pink. Iron, whose spectrum is nearly
-- flat: Johnson & Christy 1974, "Optical constants of transition metals", Phys. Rev. B 9, 5056, at 611.4, 549.1 and
-- 464.2 nm, the primaries' dominant wavelengths.

local metals = {
  aluminium = { eta = { 1.6575, 0.8804, 0.5212 }, k = { 9.2239, 6.2695, 4.8370 } },
  copper = { eta = { 0.2004, 0.9240, 1.1022 }, k = { 3.9129, 2.4528, 2.1422 } },
  gold = { eta = { 0.1431, 0.3750, 1.4425 }, k = { 3.9832, 2.3857, 1.6032 } },
  iron = { eta = { 2.8896, 2.9500, 2.6428 }, k = { 3.0404, 2.9302, 2.8030 } },
  silver = { eta = { 0.1553, 0.1167, 0.1384 }, k = { 4.8283, 3.1222, 2.1471 } },
}

return metals
